//! Matrix products by cuBLASLt: 16-bit floats in, sums in 32 bits.
//!
//! The library is asked for several algorithms per product once, each is timed, the fastest stays. The choice changes the last digits, so
//! it is kept with the run ([`Choices`]): a run that goes on computes as before.

#![expect(unsafe_code, reason = "cuBLASLt is a C library; this file is where its calls are made")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::rc::Rc;

use cudarc::cublaslt::{result, sys};
use serde::{Deserialize, Serialize};

use super::Trouble;
use super::driver::{Buffer, Device};

/// Bytes that algorithms may use besides their matrices.
const WORKSPACE: usize = 32 << 20;
/// Algorithms that are tried.
const TRIED: usize = 8;
/// Times that each is run.
const REPEATS: usize = 3;

/// Algorithms that were found fastest, by product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Choices {
    /// The GPU that they were timed on.
    pub(super) gpu: String,
    /// The version of cuBLASLt.
    pub(super) version: usize,
    /// For each product the library's own description of the algorithm.
    pub(super) algorithms: BTreeMap<String, [u64; 8]>,
}

/// What is multiplied; all matrices lie row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `y[rows, out] = x[rows, in] w[out, in]^T`
    Forward,
    /// `x[rows, in] = y[rows, out] w[out, in]`
    ToInput,
    /// `w[out, in] += y[rows, out]^T x[rows, in]`, in 32 bits
    ToWeight,
}

/// A product: its kind and its sizes, and how far the rows of `y` are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Product {
    pub(super) kind: Kind,
    pub(super) rows: usize,
    pub(super) out: usize,
    pub(super) input: usize,
    pub(super) y_stride: usize,
}

/// Addresses of the three matrices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) x: u64,
    pub(super) w: u64,
    pub(super) y: u64,
}

#[derive(Debug)]
struct Plan {
    description: sys::cublasLtMatmulDesc_t,
    left: sys::cublasLtMatrixLayout_t,
    right: sys::cublasLtMatrixLayout_t,
    to: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

/// cuBLASLt on one GPU.
#[derive(Debug)]
pub(super) struct Multiplier {
    handle: sys::cublasLtHandle_t,
    workspace: Buffer,
    /// By product, and whether its algorithm was timed.
    plans: RefCell<BTreeMap<(Product, bool), Plan>>,
    choices: Rc<RefCell<Choices>>,
}

fn told(what: &str) -> impl Fn(result::CublasError) -> Trouble + '_ {
    move |error| Trouble::Failed(format!("cuBLASLt cannot {what}: {error}"))
}

impl Multiplier {
    /// `choices` is shared by all GPUs of a run: the first that needs an algorithm chooses for all.
    pub(super) fn new(device: &Device, choices: Rc<RefCell<Choices>>) -> Result<Self, Trouble> {
        // SAFETY: looks for a library and closes it again.
        if !unsafe { sys::is_culib_present() } {
            return Err(Trouble::Missing(
                "cuBLASLt (libcublasLt) is not found: it comes with the CUDA toolkit and with the Python package nvidia-cublas; put its folder \
                 into LD_LIBRARY_PATH"
                    .to_owned(),
            ));
        }
        let handle = result::create_handle().map_err(told("start"))?;
        // SAFETY: takes nothing.
        let version = unsafe { sys::cublasLtGetVersion() };
        let is_other = (&choices.borrow().gpu, choices.borrow().version) != (&device.name, version);
        if is_other {
            choices.replace(Choices { gpu: device.name.clone(), version, algorithms: BTreeMap::new() });
        }
        let workspace = device.allocate(WORKSPACE, "matrix products")?;
        Ok(Self { handle, workspace, plans: RefCell::default(), choices })
    }

    /// Puts a product on the stream. Where it is `timed`, the first time finds the fastest algorithm, which must not be recorded;
    /// else the library's first proposal is taken.
    pub(super) fn multiply(
        &self,
        device: &Device,
        (product, timed): (Product, bool),
        places: Places,
    ) -> Result<(), Trouble> {
        let key = (product, timed);
        if !self.plans.borrow().contains_key(&key) {
            let plan = self.plan(device, key, places)?;
            self.plans.borrow_mut().insert(key, plan);
        }
        let plans = self.plans.borrow();
        let to = match product.kind {
            Kind::Forward => places.y,
            Kind::ToInput => places.x,
            Kind::ToWeight => places.w,
        };
        let Product { kind, out, input, .. } = product;
        device
            .timed(&format!("{kind:?} {out} x {input}"), || self.run(device, kind, &plans[&key], places, to))
    }

    fn run(&self, device: &Device, kind: Kind, plan: &Plan, places: Places, to: u64) -> Result<(), Trouble> {
        let (left, right) = match kind {
            Kind::Forward => (places.w, places.x),
            Kind::ToInput => (places.w, places.y),
            Kind::ToWeight => (places.x, places.y),
        };
        let (one, beta) = (1.0_f32, if kind == Kind::ToWeight { 1.0_f32 } else { 0.0 });
        // SAFETY: the plan's layouts describe the matrices at these addresses; the scales are on the host, read at once.
        unsafe {
            result::matmul(
                self.handle,
                plan.description,
                std::ptr::from_ref(&one).cast(),
                std::ptr::from_ref(&beta).cast(),
                left as *const c_void,
                plan.left,
                right as *const c_void,
                plan.right,
                to as *const c_void,
                plan.to,
                to as *mut c_void,
                plan.to,
                &raw const plan.algorithm,
                self.workspace.address() as *mut c_void,
                WORKSPACE,
                device.stream().cast(),
            )
        }
        .map_err(told("multiply"))
    }

    /// Layouts and algorithm. cuBLASLt counts by columns, so a matrix of ours is its transpose there.
    fn plan(
        &self,
        device: &Device,
        (product, timed): (Product, bool),
        places: Places,
    ) -> Result<Plan, Trouble> {
        let Product { kind, rows, out, input, y_stride } = product;
        let half = sys::cudaDataType_t::CUDA_R_16BF;
        let layout = |kind, rows: usize, columns: usize, stride: usize| {
            let stride = i64::try_from(stride).unwrap_or(i64::MAX);
            result::create_matrix_layout(kind, rows as u64, columns as u64, stride)
                .map_err(told("describe a matrix"))
        };
        let (x, w) = ((input, rows, input), (input, out, input));
        let y = (out, rows, y_stride);
        // Rows, columns and stride of the factors, whether each is turned, and the type and sizes of what comes out.
        let (left, right, turned, to) = match kind {
            Kind::Forward => (w, x, [true, false], (half, y)),
            Kind::ToInput => (w, y, [false, false], (half, x)),
            Kind::ToWeight => (x, y, [false, true], (sys::cudaDataType_t::CUDA_R_32F, w)),
        };
        let description = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        )
        .map_err(told("describe a product"))?;
        let sides = [
            sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA,
            sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB,
        ];
        for (side, turned) in sides.into_iter().zip(turned) {
            let operation = i32::from(turned);
            // SAFETY: the value is four bytes, as the attribute is.
            unsafe {
                result::set_matmul_desc_attribute(description, side, std::ptr::from_ref(&operation).cast(), 4)
            }
            .map_err(told("describe a product"))?;
        }
        let mut plan = Plan {
            description,
            left: layout(half, left.0, left.1, left.2)?,
            right: layout(half, right.0, right.1, right.2)?,
            to: layout(to.0, to.1.0, to.1.1, to.1.2)?,
            algorithm: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
        };
        let name = format!("{kind:?} {rows} {out} {input} {y_stride}");
        let proposals = self.proposals(&plan)?;
        if !timed {
            plan.algorithm.data = proposals[0];
            return Ok(plan);
        }
        let known = self.choices.borrow().algorithms.get(&name).copied();
        plan.algorithm.data = if let Some(algorithm) = known {
            algorithm
        } else {
            let scratch = device.allocate(to.1.1 * to.1.2 * 4, "trying algorithms")?;
            let chosen = self.fastest(device, (kind, places), &mut plan, &proposals, &scratch)?;
            self.choices.borrow_mut().algorithms.insert(name, chosen);
            chosen
        };
        Ok(plan)
    }

    /// What the library proposes, its best guess first.
    fn proposals(&self, plan: &Plan) -> Result<Vec<[u64; 8]>, Trouble> {
        let preference = result::create_matmul_pref().map_err(told("describe what is wanted"))?;
        let attribute = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let mut proposals: [std::mem::MaybeUninit<sys::cublasLtMatmulHeuristicResult_t>; TRIED] =
            [const { std::mem::MaybeUninit::uninit() }; TRIED];
        let mut found = 0;
        // SAFETY: layouts and description are alive; the library fills `found` of the proposals.
        unsafe {
            let bytes = WORKSPACE as u64;
            result::set_matmul_pref_attribute(preference, attribute, std::ptr::from_ref(&bytes).cast(), 8)
                .map_err(told("describe what is wanted"))?;
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                plan.description,
                plan.left,
                plan.right,
                plan.to,
                plan.to,
                preference,
                i32::try_from(TRIED).unwrap_or(i32::MAX),
                proposals.as_mut_ptr().cast(),
                &raw mut found,
            )
            .result()
            .map_err(told("propose an algorithm"))?;
            result::destroy_matmul_pref(preference).map_err(told("describe what is wanted"))?;
        }
        let found = &proposals[..usize::try_from(found).unwrap_or(0)];
        // SAFETY: those that the library filled.
        let found: Vec<_> =
            found.iter().map(|proposal| unsafe { proposal.assume_init_ref() }.algo.data).collect();
        if found.is_empty() {
            return Err(Trouble::Failed("cuBLASLt has no algorithm for a product of the model".to_owned()));
        }
        Ok(found)
    }

    /// Times the proposals, on `scratch`.
    fn fastest(
        &self,
        device: &Device,
        (kind, places): (Kind, Places),
        plan: &mut Plan,
        proposals: &[[u64; 8]],
        scratch: &Buffer,
    ) -> Result<[u64; 8], Trouble> {
        device.clear(scratch)?;
        let mut best: Option<(f32, [u64; 8])> = None;
        for &proposal in proposals {
            plan.algorithm.data = proposal;
            // Once to warm up; an algorithm that does not run is no candidate.
            if self.run(device, kind, plan, places, scratch.address()).is_err() {
                continue;
            }
            let time = device.time(|| {
                (0..REPEATS).try_for_each(|_| self.run(device, kind, plan, places, scratch.address()))
            })?;
            if best.is_none_or(|(least, _)| time < least) {
                best = Some((time, proposal));
            }
        }
        best.map(|(_, algorithm)| algorithm).ok_or_else(|| {
            Trouble::Failed("cuBLASLt can run no algorithm for a product of the model".to_owned())
        })
    }
}

impl Drop for Multiplier {
    fn drop(&mut self) {
        for plan in self.plans.borrow().values() {
            // SAFETY: each was created and is destroyed once.
            unsafe {
                result::destroy_matmul_desc(plan.description).ok();
                for layout in [plan.left, plan.right, plan.to] {
                    result::destroy_matrix_layout(layout).ok();
                }
            }
        }
        // SAFETY: created once, destroyed once.
        unsafe { result::destroy_handle(self.handle) }.ok();
    }
}
