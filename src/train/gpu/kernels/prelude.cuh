// What the kernels are written with, for a real GPU. They are in the language that C and CUDA share, so that tests can also run them on a
// processor: tests/emulator has these names a second time.
//
// Sizes of the model are constants of the compilation: DIM, FFN, HEAD, HEADS, KV_HEADS, VOCAB, LOGIT_STRIDE.

#ifndef EMULATED

typedef unsigned short bf16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE static __device__ __forceinline__
#define KERNEL(threads, name, Arguments) \
    extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ struct Arguments a)
#define SHARED __shared__
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#define ALIGNED(bytes) __align__(bytes)
#define UNROLL _Pragma("unroll")
#define INFINITE __int_as_float(0x7f800000)

DEVICE int thread() { return threadIdx.x; }
DEVICE int block_x() { return blockIdx.x; }
DEVICE int block_y() { return blockIdx.y; }
DEVICE int block_z() { return blockIdx.z; }
DEVICE int blocks_x() { return gridDim.x; }
DEVICE void sync_block() { __syncthreads(); }
DEVICE float shuffle_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEVICE float exp_2(float x) { return exp2f(x); }
DEVICE float log_2(float x) { return log2f(x); }
DEVICE float root(float x) { return sqrtf(x); }
DEVICE float root_of_inverse(float x) { return rsqrtf(x); }
DEVICE float larger(float x, float y) { return fmaxf(x, y); }
DEVICE float from_bits(u32 x) { return __uint_as_float(x); }

// Two floats, rounded to even, the first in the lower half.
DEVICE u32 pack(float low, float high) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

// sums += a b, for a tile of 16 x 16 and one of 16 x 8, spread over a warp as `mma.m16n8k16` has it.
DEVICE void multiply(float *sums, const u32 *a, const u32 *b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four matrices of 8 x 8; lane 8 i + r brings the place of row r of matrix i.
DEVICE void load_matrices(u32 *parts, const bf16 *row) {
    u32 place = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
                 : "r"(place)
                 : "memory");
}

// The same, each matrix transposed.
DEVICE void load_transposed(u32 *parts, const bf16 *row) {
    u32 place = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
                 : "r"(place)
                 : "memory");
}

// 16 bytes from global to shared memory, behind the thread's back; zeros where `valid` is 0.
DEVICE void copy_later(bf16 *to, const bf16 *from, int valid) {
    u32 place = (u32)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}
DEVICE void copies_begin() { asm volatile("cp.async.commit_group;" ::: "memory"); }
DEVICE void copies_done() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

#endif
