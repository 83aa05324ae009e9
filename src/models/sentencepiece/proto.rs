//! The parts of SentencePiece's protobuf message that are needed, read by hand: fields by number, lengths checked.

/// Kinds of pieces, by their number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// One piece of the vocabulary.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: Kind,
}

/// Model types that are cut here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelType {
    Unigram,
    Bpe,
}

/// `NormalizerSpec`.
#[derive(Debug, Clone)]
pub(super) struct NormalizerSpec {
    pub charsmap: Vec<u8>,
    pub add_dummy_prefix: bool,
    pub remove_extra_blanks: bool,
    pub escape_blanks: bool,
}

/// What is read of `ModelProto`.
#[derive(Debug)]
pub(super) struct Proto {
    pub pieces: Vec<Piece>,
    pub model_type: u64,
    pub byte_fallback: bool,
    pub normalizer: NormalizerSpec,
}

const TRUNCATED: &str = "the file ends inside a field";

/// A field's content.
enum Field<'b> {
    Number(u64),
    Fixed32([u8; 4]),
    Bytes(&'b [u8]),
    Other,
}

/// Reads the message.
pub(super) fn read(bytes: &[u8]) -> Result<Proto, &'static str> {
    let mut proto = Proto {
        pieces: Vec::new(),
        model_type: 1,
        byte_fallback: false,
        normalizer: NormalizerSpec {
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_blanks: true,
            escape_blanks: true,
        },
    };
    each_field(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(piece)) => proto.pieces.push(read_piece(piece)?),
            (2, Field::Bytes(trainer)) => each_field(trainer, |number, field| {
                match (number, field) {
                    (3, Field::Number(n)) => proto.model_type = n,
                    (35, Field::Number(n)) => proto.byte_fallback = n != 0,
                    (24, Field::Number(n)) if n != 0 => {
                        return Err("white space as a suffix of words is not supported");
                    }
                    _ => {}
                }
                Ok(())
            })?,
            (3, Field::Bytes(spec)) => each_field(spec, |number, field| {
                let normalizer = &mut proto.normalizer;
                match (number, field) {
                    (2, Field::Bytes(charsmap)) => normalizer.charsmap = charsmap.to_vec(),
                    (3, Field::Number(n)) => normalizer.add_dummy_prefix = n != 0,
                    (4, Field::Number(n)) => normalizer.remove_extra_blanks = n != 0,
                    (5, Field::Number(n)) => normalizer.escape_blanks = n != 0,
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    if proto.pieces.is_empty() {
        return Err("it has no pieces");
    }
    Ok(proto)
}

fn read_piece(bytes: &[u8]) -> Result<Piece, &'static str> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: Kind::Normal };
    each_field(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(text)) => {
                std::str::from_utf8(text).map_err(|_| "a piece is not UTF-8")?.clone_into(&mut piece.text);
            }
            (2, Field::Fixed32(bytes)) => piece.score = f32::from_le_bytes(bytes),
            (3, Field::Number(kind)) => {
                piece.kind = match kind {
                    1 => Kind::Normal,
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => return Err("a piece is of an unknown type"),
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if piece.score.is_nan() {
        return Err("a piece has no number as its score");
    }
    Ok(piece)
}

/// Calls `found` with number and content of every field of a message.
fn each_field<'b>(
    mut bytes: &'b [u8],
    mut found: impl FnMut(u64, Field<'b>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => {
                take(&mut bytes, 8)?;
                Field::Other
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| TRUNCATED)?;
                Field::Bytes(take(&mut bytes, length)?)
            }
            5 => Field::Fixed32(take(&mut bytes, 4)?.try_into().map_err(|_| TRUNCATED)?),
            _ => return Err("it is no protobuf message"),
        };
        found(key >> 3, field)?;
    }
    Ok(())
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Result<&'b [u8], &'static str> {
    let (head, rest) = bytes.split_at_checked(length).ok_or(TRUNCATED)?;
    *bytes = rest;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(TRUNCATED)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number in it has no end")
}
