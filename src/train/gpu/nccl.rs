//! Sums over GPUs by NCCL.

#![expect(unsafe_code, reason = "NCCL is a C library; this file is where its calls are made")]

use cudarc::nccl::{result, sys};

use super::Trouble;
use super::driver::{Buffer, Device};

/// One communicator for each GPU of the process.
#[derive(Debug)]
pub(super) struct Group(Vec<sys::ncclComm_t>);

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` wants it")]
fn told(error: result::NcclError) -> Trouble {
    Trouble::Failed(format!("NCCL: {error:?}"))
}

impl Group {
    /// Of the first `count` GPUs.
    pub(super) fn new(count: usize) -> Result<Self, Trouble> {
        // SAFETY: looks for a library and closes it again.
        if !unsafe { sys::is_culib_present() } {
            return Err(Trouble::Missing(
                "NCCL (libnccl.so) is not found, which several GPUs need: it comes with the Python package nvidia-nccl; put a folder that has it \
                 under that name into LD_LIBRARY_PATH, or set `gpus: 1`"
                    .to_owned(),
            ));
        }
        let devices: Vec<i32> = (0..).take(count).collect();
        let mut group = vec![std::ptr::null_mut(); count];
        let length = i32::try_from(count).unwrap_or(i32::MAX);
        // SAFETY: there are `count` places and `count` numbers.
        unsafe { result::comm_init_all(group.as_mut_ptr(), length, devices.as_ptr()) }.map_err(told)?;
        Ok(Self(group))
    }

    /// Leaves the sum over all GPUs in the buffer of each: `count` floats, of 64 bits where `wide`.
    pub(super) fn sum(&self, parts: &[(&Device, &Buffer)], count: usize, wide: bool) -> Result<(), Trouble> {
        let kind = if wide { sys::ncclDataType_t::ncclFloat64 } else { sys::ncclDataType_t::ncclFloat32 };
        result::group_start().map_err(told)?;
        for (&group, (device, buffer)) in self.0.iter().zip(parts) {
            let address = buffer.address() as *mut std::ffi::c_void;
            // SAFETY: the buffer has as many numbers, on the GPU of this communicator.
            unsafe {
                let add = sys::ncclRedOp_t::ncclSum;
                result::all_reduce(address, address, count, kind, add, group, device.stream().cast())
                    .map_err(told)?;
            }
        }
        result::group_end().map_err(told)?;
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for &group in &self.0 {
            // SAFETY: created once, destroyed once.
            unsafe { result::comm_destroy(group) }.ok();
        }
    }
}
