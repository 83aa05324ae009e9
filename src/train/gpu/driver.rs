//! The CUDA driver: a GPU, its memory, its stream, kernels that were compiled for it, and graphs of launches.
//!
//! Everything goes through the driver's library, which is looked for when it is first needed; a machine without one is no error.

#![expect(unsafe_code, reason = "the driver is a C library; this file is where its calls are made")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_void};

use cudarc::driver::{result, sys};

use super::Trouble;

/// Bytes that hold the arguments of any kernel.
const ARGUMENT_BYTES: usize = 128;

/// By name, how often something ran and how many milliseconds it took in all.
pub(super) type Times = BTreeMap<String, (u32, f32)>;

/// A GPU with one stream of work.
#[derive(Debug)]
pub(super) struct Device {
    context: sys::CUcontext,
    stream: sys::CUstream,
    pub(super) name: String,
    /// Compute capability.
    pub(super) capability: (i32, i32),
    /// Most bytes of shared memory that a block can have.
    pub(super) shared: i32,
    functions: RefCell<BTreeMap<&'static str, sys::CUfunction>>,
    /// Where everything that is put on the stream is timed: how often, and milliseconds.
    times: RefCell<Option<Times>>,
    module: Option<sys::CUmodule>,
}

/// Whether there is a driver, and how many GPUs it has.
pub(super) fn count() -> Result<usize, Trouble> {
    // SAFETY: looks for a library and closes it again.
    if !unsafe { sys::is_culib_present() } {
        return Err(Trouble::Missing("no CUDA driver (libcuda) is installed".to_owned()));
    }
    result::init()
        .map_err(|error| Trouble::Missing(format!("the CUDA driver does not start: {}", said(error))))?;
    let count = result::device::get_count().map_err(|error| Trouble::driver("count the GPUs", error))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

impl Device {
    /// Opens a GPU, numbered from 0.
    pub(super) fn open(number: usize) -> Result<Self, Trouble> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let told = |error| Trouble::driver("open the GPU", error);
        let device = result::device::get(number).map_err(told)?;
        let name = result::device::get_name(device).map_err(told)?;
        // SAFETY: the device comes from the driver.
        let (context, capability, shared) = unsafe {
            let attribute = |which| result::device::get_attribute(device, which).map_err(told);
            let major = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
            let minor = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
            let context = result::primary_ctx::retain(device).map_err(told)?;
            result::ctx::set_current(context).map_err(told)?;
            let most =
                attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
            (context, (major, minor), most)
        };
        if capability < (8, 0) {
            return Err(Trouble::Missing(format!(
                "{name} is of compute capability {}.{}; 8.0 and later have the 16-bit floats that training uses",
                capability.0, capability.1
            )));
        }
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(told)?;
        Ok(Self {
            context,
            stream,
            name,
            capability,
            shared,
            functions: RefCell::default(),
            times: RefCell::default(),
            module: None,
        })
    }

    /// Makes it the GPU that this thread's calls go to.
    pub(super) fn choose(&self) -> Result<(), Trouble> {
        // SAFETY: the context lives as long as this.
        unsafe { result::ctx::set_current(self.context) }
            .map_err(|error| Trouble::driver("choose the GPU", error))
    }

    /// The stream, for the other libraries.
    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream
    }

    /// Takes a module that was compiled for this GPU.
    pub(super) fn load(&mut self, image: &[u8]) -> Result<(), Trouble> {
        // SAFETY: the image comes from the compiler, which ends it as the driver expects.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) };
        self.module = Some(module.map_err(|error| Trouble::driver("load the kernels", error))?);
        Ok(())
    }

    fn function(&self, name: &'static str) -> Result<sys::CUfunction, Trouble> {
        if let Some(&function) = self.functions.borrow().get(name) {
            return Ok(function);
        }
        let told = |error| Trouble::driver("find a kernel", error);
        let module = self.module.ok_or_else(|| Trouble::Failed("no kernels are loaded".to_owned()))?;
        let text =
            CString::new(name).map_err(|_| Trouble::Failed("a kernel's name has a zero".to_owned()))?;
        let needs_tiles = name.starts_with("attention_") && name != "attention_dots";
        // SAFETY: the module is loaded. A tile of a block may be larger than what a block gets unasked.
        let function = unsafe {
            let function = result::module::get_function(module, text).map_err(told)?;
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            if needs_tiles {
                result::function::set_function_attribute(function, attribute, self.shared).map_err(told)?;
            }
            function
        };
        self.functions.borrow_mut().insert(name, function);
        Ok(function)
    }

    /// Puts a kernel on the stream. `arguments` is the structure that it takes.
    pub(super) fn launch<T: Copy>(
        &self,
        name: &'static str,
        (blocks, threads, shared): ([usize; 3], u32, usize),
        arguments: &T,
    ) -> Result<(), Trouble> {
        let size = size_of::<T>();
        assert!(size <= ARGUMENT_BYTES, "the arguments of {name} have {size} bytes");
        if blocks.contains(&0) {
            return Ok(());
        }
        let function = self.function(name)?;
        let [x, y, z] = blocks.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let shared = u32::try_from(shared).unwrap_or(u32::MAX);
        let mut room = [0_u64; ARGUMENT_BYTES / 8];
        // SAFETY: `room` holds the structure, whose fields are those of the kernel's; buffers outlive the work (see `wait`).
        self.timed(name, || unsafe {
            std::ptr::copy_nonoverlapping(
                std::ptr::from_ref(arguments).cast::<u8>(),
                room.as_mut_ptr().cast(),
                size,
            );
            let mut parameters = [room.as_mut_ptr().cast::<c_void>()];
            result::launch_kernel(function, (x, y, z), (threads, 1, 1), shared, self.stream, &mut parameters)
                .map_err(|error| Trouble::driver(&format!("launch `{name}`"), error))
        })
    }

    /// Times what `work` puts on the stream, one after the other.
    pub(super) fn profile(&self, work: impl FnOnce() -> Result<(), Trouble>) -> Result<Times, Trouble> {
        self.times.replace(Some(Times::new()));
        let done = work();
        let times = self.times.take().unwrap_or_default();
        done.map(|()| times)
    }

    /// `work`, timed under `name` in a profile.
    pub(super) fn timed(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        if self.times.borrow().is_none() {
            return work();
        }
        let time = self.time(work)?;
        if let Some(times) = self.times.borrow_mut().as_mut() {
            let entry = times.entry(name.to_owned()).or_default();
            *entry = (entry.0 + 1, entry.1 + time);
        }
        Ok(())
    }

    /// Waits until everything on the stream is done.
    pub(super) fn wait(&self) -> Result<(), Trouble> {
        // SAFETY: the stream lives as long as this.
        unsafe { result::stream::synchronize(self.stream) }
            .map_err(|error| Trouble::driver("wait for the GPU", error))
    }

    /// Memory, not yet filled.
    pub(super) fn allocate(&self, bytes: usize, what: &'static str) -> Result<Buffer, Trouble> {
        self.choose()?;
        // SAFETY: nobody reads it before it is written.
        match unsafe { result::malloc_sync(bytes.max(16)) } {
            Ok(address) => Ok(Buffer { address, bytes }),
            Err(error) if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let (free, total) = result::mem_get_info().unwrap_or((0, 0));
                Err(Trouble::Memory { what, bytes, free, total })
            }
            Err(error) => Err(Trouble::driver("get memory of the GPU", error)),
        }
    }

    /// Copies to the GPU, behind what is on the stream. `from` may go when this returns.
    pub(super) fn write<T: Copy>(&self, to: &Buffer, from: &[T]) -> Result<(), Trouble> {
        assert!(size_of_val(from) <= to.bytes, "it fits");
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: the buffer is large enough; the driver has read memory that it does not pin when it returns.
        unsafe { result::memcpy_htod_async(to.address, from, self.stream) }
            .map_err(|error| Trouble::driver("copy to the GPU", error))
    }

    /// Copies from the GPU, behind what is on the stream, and waits.
    pub(super) fn read<T: Copy>(&self, to: &mut [T], from: &Buffer) -> Result<(), Trouble> {
        assert!(size_of_val(to) <= from.bytes, "there is as much");
        // SAFETY: the buffer is large enough, any bits are a `T` (numbers only), and `to` stays until the copy is done.
        unsafe { result::memcpy_dtoh_async(to, from.address, self.stream) }
            .map_err(|error| Trouble::driver("copy from the GPU", error))?;
        self.wait()
    }

    /// Fills with zeros, behind what is on the stream.
    pub(super) fn clear(&self, buffer: &Buffer) -> Result<(), Trouble> {
        // SAFETY: exactly the buffer.
        unsafe { result::memset_d8_async(buffer.address, 0, buffer.bytes, self.stream) }
            .map_err(|error| Trouble::driver("clear memory of the GPU", error))
    }

    /// Copies from one buffer to another of the same size.
    pub(super) fn copy(&self, to: &Buffer, from: &Buffer) -> Result<(), Trouble> {
        assert_eq!(to.bytes, from.bytes, "they are equally long");
        // SAFETY: both are as long.
        unsafe { result::memcpy_dtod_async(to.address, from.address, from.bytes, self.stream) }
            .map_err(|error| Trouble::driver("copy on the GPU", error))
    }

    /// What `work` puts on the stream, to run again and again; it does not run now.
    pub(super) fn record(&self, work: impl FnOnce() -> Result<(), Trouble>) -> Result<Graph, Trouble> {
        let told = |error| Trouble::driver("record the step", error);
        let mode = sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is ours; recording ends before this returns, whatever `work` says.
        unsafe {
            result::stream::begin_capture(self.stream, mode).map_err(told)?;
            let done = work();
            let graph = result::stream::end_capture(self.stream).map_err(told);
            done?;
            let graph = graph?;
            let executable =
                result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0)).map_err(told)?;
            result::graph::destroy(graph).map_err(told)?;
            Ok(Graph(executable))
        }
    }

    /// Puts a recorded graph on the stream.
    pub(super) fn replay(&self, graph: &Graph) -> Result<(), Trouble> {
        // SAFETY: its buffers live as long as the graph (both belong to one replica).
        unsafe { result::graph::launch(graph.0, self.stream) }
            .map_err(|error| Trouble::driver("run the step", error))
    }

    /// Milliseconds that `work` takes on the GPU.
    pub(super) fn time(&self, work: impl FnOnce() -> Result<(), Trouble>) -> Result<f32, Trouble> {
        let told = |error| Trouble::driver("measure time", error);
        // SAFETY: both events are recorded before they are read, and destroyed once.
        unsafe {
            let flags = sys::CUevent_flags_enum::CU_EVENT_DEFAULT;
            let (start, end) =
                (result::event::create(flags).map_err(told)?, result::event::create(flags).map_err(told)?);
            let timed = (|| {
                result::event::record(start, self.stream).map_err(told)?;
                work()?;
                result::event::record(end, self.stream).map_err(told)?;
                result::event::synchronize(end).map_err(told)?;
                result::event::elapsed(start, end).map_err(told)
            })();
            result::event::destroy(start).map_err(told)?;
            result::event::destroy(end).map_err(told)?;
            timed
        }
    }
}

/// Memory of a GPU.
#[derive(Debug)]
pub(super) struct Buffer {
    address: u64,
    bytes: usize,
}

impl Buffer {
    /// Where it is on the GPU.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// The place `bytes` behind its beginning.
    pub(super) fn at(&self, bytes: usize) -> u64 {
        assert!(bytes <= self.bytes, "{bytes} of {} bytes", self.bytes);
        self.address + bytes as u64
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it was allocated and is freed once. Freeing waits for the work that uses it.
        unsafe { result::free_sync(self.address) }.ok();
    }
}

/// Recorded launches.
#[derive(Debug)]
pub(super) struct Graph(sys::CUgraphExec);

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: it was instantiated and is destroyed once.
        unsafe { result::graph::exec_destroy(self.0) }.ok();
    }
}

/// What the driver says about an error.
pub(super) fn said(error: result::DriverError) -> String {
    let text =
        |text: Result<&CStr, _>| text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{} ({})", text(error.error_string()), text(error.error_name()))
}
