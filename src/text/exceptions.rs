//! Chunks that the word splitter cuts in a way of their own: English contractions, abbreviations, emoticons.
//!
//! The list agrees with the 1,347 special cases of spaCy 3.8 for English; it is built here from rules
//! (who can be followed by which contraction) and short tables. `|` marks a cut. Each entry with an
//! apostrophe exists with `'` and with `’`.
//!
//! Entries that affix rules would cut differently are also found after those rules cut them (`Mr.Smith` is
//! `Mr.`, `Smith`): such an entry knows the cuts that the rules make.

use std::sync::LazyLock;

use super::words::{Splitter, tag};

/// Who, and the contractions that may follow with and without an apostrophe.
const CONTRACTIONS: &[(&str, &str)] = &[
    ("i", "'m 'm|a 'll 'll|'ve 'd 'd|'ve 've"),
    ("you we they", "'ll 'll|'ve 'd 'd|'ve 've 're"),
    ("he she it", "'ll 'll|'ve 'd 'd|'ve 's"),
    ("who what when where why how there", "'s 'll 'll|'ve 're 've 'd 'd|'ve"),
    ("that this", "'s 'll 'll|'ve 'd 'd|'ve"),
    ("these those", "'ll 'll|'ve 're 've 'd 'd|'ve"),
    ("could might must should would not", "'ve"),
    ("ca could do does did had may might must need ought sha should wo would", "n't n't|'ve"),
    ("ai are is was were have has dare", "n't"),
];

/// What a contraction without its apostrophe may not be mistaken for.
const ORDINARY_WORDS: &[&str] = &["ill", "its", "hell", "shell", "shed", "were", "well", "whore"];

/// Other entries in lower case and with a capital.
const BOTH_CASES: &str = "can|not gon|na got|ta let|'s c'm|on how|'d|'y doin doin' goin goin' nothin nothin' \
    nuthin nuthin' ol ol' somethin somethin' lovin lovin' havin havin' ma'am o'clock";

/// Entries as they are.
const OTHERS: &str = "y'|all y|all em 'em ll 'll nuff 'nuff 's 'S ‘s ‘S and/or w/o 're 'd 'Cause 'cause 'Cos \
    'cos 'Coz 'coz 'Cuz 'cuz 'bout ' '' C++ \\\") <space> \\t \\n — a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. \
    q. r. s. t. u. v. w. x. y. z. ä. ö. ü. °|C|. °|F|. °|K|. °|c|. °|f|. °|k|.";

/// Abbreviations whose last period belongs to them.
const ABBREVIATIONS: &str = "Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. \
    Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. \
    Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis. a.m. p.m. Adm. Bros. co. Co. Corp. D.C. Dr. \
    e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. Ph.D. Prof. Rep. Rev. \
    Sen. St. vs. v.s.";

/// Emoticons.
const EMOTICONS: &str = ":) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) \
    ;-) (; (-; :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p \
    :-p :O :-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ \
    ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o \
    @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>";

/// No entry is longer.
pub(super) const MAX_BYTES: usize = 40;

/// One special chunk.
pub(super) struct Entry {
    text: String,
    /// Bit i is set where a piece starts at byte i, except for byte 0.
    pub(super) cuts: u64,
    /// The cuts that the affix rules alone would make, where they would make any.
    pub(super) rule_cuts: Option<u64>,
}

/// All special chunks, found by hash.
pub(super) struct Exceptions {
    entries: Vec<Entry>,
    /// Place in `entries` plus one; 0 is free.
    slots: Vec<u16>,
    /// Bit set over hashes: most words end here.
    filter: Vec<u64>,
    /// Bit set over (first byte, first byte of the second piece) of the entries with `rule_cuts`.
    pairs: Vec<u64>,
}

static EXCEPTIONS: LazyLock<Exceptions> = LazyLock::new(Exceptions::build);

const SLOTS: usize = 8192;
const FILTER_BITS: usize = 1 << 15;

impl Exceptions {
    pub(super) fn get() -> &'static Self {
        &EXCEPTIONS
    }

    fn build() -> Self {
        let mut this = Self {
            entries: Vec::new(),
            slots: vec![0; SLOTS],
            filter: vec![0; FILTER_BITS / 64],
            pairs: vec![0; 1024],
        };
        for marked in list() {
            this.add_marked(&marked);
        }
        for face in EMOTICONS.split_whitespace() {
            this.add(face.to_owned(), 0);
            this.add(face.replace('\'', "’"), 0);
        }
        let mut splitter = Splitter::default();
        for place in 0..this.entries.len() {
            let text = this.entries[place].text.clone();
            if let Some((cuts, second)) = splitter.rule_cuts(&text) {
                this.entries[place].rule_cuts = Some(cuts);
                let pair = usize::from(text.as_bytes()[0]) << 8 | usize::from(second);
                this.pairs[pair / 64] |= 1 << (pair % 64);
            }
        }
        this
    }

    fn add_marked(&mut self, marked: &str) {
        let mut text = String::new();
        let mut cuts = 0;
        for piece in marked.split('|') {
            if !text.is_empty() {
                cuts |= 1 << text.len();
            }
            text.push_str(piece);
        }
        self.add(text, cuts);
    }

    fn add(&mut self, text: String, cuts: u64) {
        if self.find(text.as_bytes(), tag(text.as_bytes())).is_some() {
            return;
        }
        let hash = tag(text.as_bytes()) as usize;
        let mut slot = hash % SLOTS;
        while self.slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        self.entries.push(Entry { text, cuts, rule_cuts: None });
        self.slots[slot] = u16::try_from(self.entries.len()).expect("a few thousand entries");
        let bit = hash % FILTER_BITS;
        self.filter[bit / 64] |= 1 << (bit % 64);
    }

    /// The entry that equals `chunk`, whose [`tag`] is `hash`.
    #[inline]
    pub(super) fn find(&self, chunk: &[u8], hash: u32) -> Option<&Entry> {
        let bit = hash as usize % FILTER_BITS;
        if self.filter[bit / 64] & 1 << (bit % 64) == 0 {
            return None;
        }
        let mut slot = hash as usize % SLOTS;
        while self.slots[slot] != 0 {
            let entry = &self.entries[usize::from(self.slots[slot]) - 1];
            if entry.text.as_bytes() == chunk {
                return Some(entry);
            }
            slot = (slot + 1) % SLOTS;
        }
        None
    }

    /// Whether some entry starts with `first` and is cut by the rules before a `second`.
    pub(super) fn may_merge(&self, first: u8, second: u8) -> bool {
        let pair = usize::from(first) << 8 | usize::from(second);
        self.pairs[pair / 64] & 1 << (pair % 64) != 0
    }
}

/// Every entry but the emoticons, with its cuts marked.
fn list() -> Vec<String> {
    let mut plain = Vec::new();
    for (who, endings) in CONTRACTIONS {
        for word in who.split_whitespace() {
            for ending in endings.split_whitespace() {
                for word in [word.to_owned(), capitalised(word)] {
                    plain.push(format!("{word}|{ending}"));
                    let bare = ending.replace('\'', "");
                    let whole = format!("{word}{}", bare.replace('|', "")).to_lowercase();
                    if !ORDINARY_WORDS.contains(&whole.as_str()) {
                        plain.push(format!("{word}|{bare}"));
                    }
                }
            }
        }
    }
    for entry in BOTH_CASES.split_whitespace() {
        plain.push(entry.to_owned());
        plain.push(capitalised(entry));
    }
    for hour in 1..=12 {
        for half in ["am", "a.m.", "pm", "p.m."] {
            plain.push(format!("{hour}|{half}"));
        }
    }
    for table in [OTHERS, ABBREVIATIONS] {
        plain.extend(table.split_whitespace().map(str::to_owned));
    }
    let curly: Vec<String> =
        plain.iter().filter(|e| e.contains('\'')).map(|e| e.replace('\'', "’")).collect();
    plain.extend(curly);
    plain
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
