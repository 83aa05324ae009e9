//! Our kernels: their text, their compilation for a GPU and a model, and the structures that they take.
//!
//! The text is in `kernels/`; NVRTC compiles it when a run starts, with the sizes of the model as constants (about a second).

#![expect(unsafe_code, reason = "NVRTC is a C library")]

use std::ffi::{CStr, CString, c_char};

use cudarc::nvrtc::{result, sys};

use super::Trouble;
use crate::train::model::Shape;

/// Queries or keys of a tile of attention.
pub(super) const TILE: usize = 64;
/// Blocks that share the rows of a norm's backward pass: as many on any GPU, so that sums have one order.
pub(super) const NORM_BLOCKS: usize = 264;
/// Blocks that add up squares.
pub(super) const SQUARE_BLOCKS: usize = 1024;

/// The text of all kernels.
#[must_use]
pub fn source() -> String {
    [
        include_str!("kernels/prelude.cuh"),
        include_str!("kernels/common.cuh"),
        include_str!("kernels/elementwise.cu"),
        include_str!("kernels/attention.cu"),
        include_str!("kernels/loss.cu"),
        include_str!("kernels/optimizer.cu"),
    ]
    .concat()
}

/// Columns of a row of logits, of which the vocabulary fills the first: a multiple of 128, as matrix units like it.
pub(super) fn logit_stride(shape: &Shape) -> usize {
    shape.vocab.next_multiple_of(128)
}

/// Queries of a tile of attention forward.
pub(super) fn query_tile(shape: &Shape) -> usize {
    if shape.head() <= 64 { 2 * TILE } else { TILE }
}

/// Bytes of shared memory for this many rows of tiles.
pub(super) fn tile_bytes(shape: &Shape, rows: usize) -> usize {
    rows * (shape.head() + 8) * 2
}

/// Whether the kernels can do this shape on a GPU whose blocks have at most `shared` bytes of memory together.
pub(super) fn check(shape: &Shape, shared: usize) -> Result<(), Trouble> {
    let head = shape.head();
    if !shape.dim.is_multiple_of(8) || !shape.ffn.is_multiple_of(8) || !head.is_multiple_of(16) || head > 128
    {
        return Err(Trouble::Shape(format!(
            "on a GPU `dim` ({}) and `ffn` ({}) must be multiples of 8, and `dim / heads` ({head}) a multiple of 16 up to 128",
            shape.dim, shape.ffn
        )));
    }
    // The backward pass: two tiles that stay and twice two that come.
    let wanted = tile_bytes(shape, 6 * TILE);
    if wanted > shared {
        return Err(Trouble::Shape(format!(
            "heads of {head} need {wanted} bytes of shared memory, and this GPU has {shared}; take more `heads`"
        )));
    }
    Ok(())
}

/// Compiles all kernels for a model and a GPU of this compute capability: a module for the driver, and what the compiler said.
///
/// # Errors
/// [`Trouble::Missing`] where NVRTC is not installed, [`Trouble::Failed`] with its log where it refuses.
pub fn compile(shape: &Shape, (major, minor): (i32, i32)) -> Result<(Vec<u8>, String), Trouble> {
    // SAFETY: looks for a library and closes it again.
    if !unsafe { sys::is_culib_present() } {
        return Err(Trouble::Missing(
            "NVRTC (libnvrtc) is not found: it comes with the CUDA toolkit and with the Python package nvidia-cuda-nvrtc; put its folder into \
             LD_LIBRARY_PATH"
                .to_owned(),
        ));
    }
    let failed = |what: &str| Trouble::Failed(format!("NVRTC: {what}"));
    let text = CString::new(source()).map_err(|_| failed("the source has a zero"))?;
    let program = result::create_program(&text, None).map_err(|error| failed(&error.to_string()))?;
    let mut options = vec![
        format!("--gpu-architecture=sm_{major}{minor}"),
        "--std=c++17".to_owned(),
        "--ptxas-options=-v".to_owned(),
    ];
    let sizes = [
        ("DIM", shape.dim),
        ("FFN", shape.ffn),
        ("HEAD", shape.head()),
        ("HEADS", shape.heads),
        ("KV_HEADS", shape.kv_heads),
        ("VOCAB", shape.vocab),
        ("LOGIT_STRIDE", logit_stride(shape)),
    ];
    options.extend(sizes.iter().map(|(name, size)| format!("-D{name}={size}")));
    // SAFETY: the program lives until it is destroyed below; the buffers have the sizes that NVRTC names.
    unsafe {
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).unwrap_or_default();
        let log = log_text(&log);
        let mut image = Vec::new();
        let mut size = 0;
        if compiled.is_ok() && sys::nvrtcGetCUBINSize(program, &raw mut size).result().is_ok() {
            image = vec![0_u8; size];
            sys::nvrtcGetCUBIN(program, image.as_mut_ptr().cast::<c_char>())
                .result()
                .map_err(|error| failed(&error.to_string()))?;
        }
        result::destroy_program(program).map_err(|error| failed(&error.to_string()))?;
        match compiled {
            Ok(()) if !image.is_empty() => Ok((image, log)),
            Ok(()) => Err(failed("it made no code")),
            Err(error) => Err(failed(&format!("{error:?}\n{log}"))),
        }
    }
}

fn log_text(log: &[c_char]) -> String {
    let bytes: Vec<u8> = log.iter().map(|&byte| byte.cast_unsigned()).collect();
    CStr::from_bytes_until_nul(&bytes).map_or(String::new(), |text| text.to_string_lossy().into_owned())
}

// The structures of the kernels, field by field. Addresses are of the GPU's memory; 0 is none.

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct EmbedForward {
    pub(super) tokens: u64,
    pub(super) table: u64,
    pub(super) stream: u64,
    pub(super) rows: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct EmbedBackward {
    pub(super) order: u64,
    pub(super) starts: u64,
    pub(super) tokens: u64,
    pub(super) count: u64,
    pub(super) to_stream: u64,
    pub(super) gradients: u64,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct NormForward {
    pub(super) stream: u64,
    pub(super) delta: u64,
    pub(super) sum: u64,
    pub(super) weight: u64,
    pub(super) normed: u64,
    pub(super) factors: u64,
    pub(super) rows: i32,
    pub(super) eps: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct NormBackward {
    pub(super) stream: u64,
    pub(super) factors: u64,
    pub(super) weight: u64,
    pub(super) gradient: u64,
    pub(super) before: u64,
    pub(super) to_stream: u64,
    pub(super) partial: u64,
    pub(super) rows: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct NormWeight {
    pub(super) partial: u64,
    pub(super) gradient: u64,
    pub(super) parts: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Rope {
    pub(super) qkv: u64,
    pub(super) cosines: u64,
    pub(super) sines: u64,
    pub(super) tokens: i32,
    pub(super) length: i32,
    pub(super) direction: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Swiglu {
    pub(super) gate_up: u64,
    pub(super) hidden: u64,
    pub(super) rows: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Attention {
    pub(super) qkv: u64,
    pub(super) attended: u64,
    pub(super) log_sums: u64,
    pub(super) first: u64,
    pub(super) length: i32,
    pub(super) scale: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct AttentionDots {
    pub(super) attended: u64,
    pub(super) to_attended: u64,
    pub(super) dots: u64,
    pub(super) tokens: i32,
    pub(super) length: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct AttentionBackward {
    pub(super) qkv: u64,
    pub(super) to_attended: u64,
    pub(super) log_sums: u64,
    pub(super) dots: u64,
    pub(super) first: u64,
    pub(super) to_qkv: u64,
    pub(super) length: i32,
    pub(super) scale: f32,
    pub(super) plain_scale: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct CrossEntropy {
    pub(super) logits: u64,
    pub(super) targets: u64,
    pub(super) losses: u64,
    pub(super) scale: u64,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct SumLosses {
    pub(super) losses: u64,
    pub(super) total: u64,
    pub(super) count: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Squares {
    pub(super) gradients: u64,
    pub(super) partial: u64,
    pub(super) count: u64,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct SumSquares {
    pub(super) partial: u64,
    pub(super) total: u64,
    pub(super) count: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Adamw {
    pub(super) parameters: u64,
    pub(super) rounded: u64,
    pub(super) gradients: u64,
    pub(super) mean: u64,
    pub(super) square: u64,
    pub(super) decays: u64,
    pub(super) count: u64,
    pub(super) keep: f32,
    pub(super) step: f32,
    pub(super) root: f32,
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    pub(super) eps: f32,
    pub(super) scale: f32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Round {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) count: u64,
}
