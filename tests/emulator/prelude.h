// The names of src/train/gpu/kernels/prelude.cuh, for a processor: the threads of a block are fibers that run in turn (see cuda.c).

#include <math.h>
#include <string.h>

#define EMULATED

typedef unsigned short bf16;
typedef unsigned int u32;
typedef unsigned long long u64;

// What libcuda lends to a module.
struct emulator {
    int thread, block[3], blocks[3];
    unsigned char *shared;
    void (*sync_block)(void);
    void (*sync_warp)(void);
    // 32 lanes of 64 bytes: what the lanes of a warp show each other.
    u32 (*(*exchange)(void))[16];
    void (*copy_later)(void *to, const void *from, int valid);
    void (*copies_begin)(void);
    void (*copies_done)(void);
};
struct emulator *emulator;

#define DEVICE static inline
#define KERNEL(threads, name, Arguments)                                                       \
    static void name##_body(struct Arguments a);                                               \
    int name##_threads = threads;                                                              \
    void name(void *arguments) { name##_body(*(struct Arguments *)arguments); }                \
    static void name##_body(struct Arguments a)
#define SHARED static
#define DYNAMIC_SHARED(name) unsigned char *name = emulator->shared
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#define UNROLL
#define INFINITE INFINITY

DEVICE int thread(void) { return emulator->thread; }
DEVICE int block_x(void) { return emulator->block[0]; }
DEVICE int block_y(void) { return emulator->block[1]; }
DEVICE int block_z(void) { return emulator->block[2]; }
DEVICE int blocks_x(void) { return emulator->blocks[0]; }
DEVICE void sync_block(void) { emulator->sync_block(); }
DEVICE u32 bits_of(float x) {
    u32 bits;
    memcpy(&bits, &x, 4);
    return bits;
}
DEVICE float from_bits(u32 bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
DEVICE float shuffle_xor(float value, int mask) {
    u32(*lanes)[16] = emulator->exchange();
    lanes[thread() % 32][0] = bits_of(value);
    emulator->sync_warp();
    float other = from_bits(lanes[thread() % 32 ^ mask][0]);
    emulator->sync_warp();
    return other;
}
DEVICE float exp_2(float x) { return exp2f(x); }
DEVICE float log_2(float x) { return log2f(x); }
DEVICE float root(float x) { return sqrtf(x); }
DEVICE float root_of_inverse(float x) { return 1.0f / sqrtf(x); }
DEVICE float larger(float x, float y) { return fmaxf(x, y); }

DEVICE u32 rounded(float x) {
    u32 bits = bits_of(x);
    if (x != x) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
DEVICE u32 pack(float low, float high) { return rounded(low) | rounded(high) << 16; }
DEVICE float number_of(u32 pair, int half) { return from_bits(half ? pair & 0xffff0000u : pair << 16); }

// Registers of mma.m16n8k16, as the PTX manual draws them.
DEVICE void multiply(float *sums, const u32 *a, const u32 *b) {
    u32(*lanes)[16] = emulator->exchange();
    int lane = thread() % 32;
    memcpy(lanes[lane], a, 16);
    memcpy(lanes[lane] + 4, b, 8);
    emulator->sync_warp();
    for (int e = 0; e < 4; e++) {
        int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
        float sum = sums[e];
        for (int k = 0; k < 16; k++) {
            u32 left = lanes[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
            u32 right = lanes[column * 4 + k % 8 / 2][4 + k / 8];
            sum += number_of(left, k % 2) * number_of(right, k % 2);
        }
        sums[e] = sum;
    }
    emulator->sync_warp();
}

DEVICE void load_any(u32 *parts, const bf16 *row, int transposed) {
    u32(*lanes)[16] = emulator->exchange();
    int lane = thread() % 32;
    if ((u64)row % 16) __builtin_trap();
    memcpy(lanes[lane], row, 16);
    emulator->sync_warp();
    for (int matrix = 0; matrix < 4; matrix++) {
        u32 pair = 0;
        for (int half = 0; half < 2; half++) {
            int down = transposed ? lane % 4 * 2 + half : lane / 4, across = transposed ? lane / 4 : lane % 4 * 2 + half;
            u32 number = lanes[matrix * 8 + down][across / 2] >> across % 2 * 16 & 0xffff;
            pair |= number << half * 16;
        }
        parts[matrix] = pair;
    }
    emulator->sync_warp();
}
DEVICE void load_matrices(u32 *parts, const bf16 *row) { load_any(parts, row, 0); }
DEVICE void load_transposed(u32 *parts, const bf16 *row) { load_any(parts, row, 1); }

DEVICE void copy_later(bf16 *to, const bf16 *from, int valid) { emulator->copy_later(to, from, valid); }
DEVICE void copies_begin(void) { emulator->copies_begin(); }
DEVICE void copies_done(void) { emulator->copies_done(); }
