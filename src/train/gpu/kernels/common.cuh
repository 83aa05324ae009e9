// Small functions that all kernels share.

#define WARP 32
#define QKV ((HEADS + 2 * KV_HEADS) * HEAD)
// Vectors of eight numbers in a row, and how many of them a lane has.
#define VECTORS (DIM / 8)
#define LANE_VECTORS ((VECTORS + WARP - 1) / WARP)

// Eight numbers of 16 bits.
struct ALIGNED(16) Eight {
    u32 pair[4];
};

struct ALIGNED(16) Four {
    float at[4];
};

DEVICE float low(u32 pair) { return from_bits(pair << 16); }
DEVICE float high(u32 pair) { return from_bits(pair & 0xffff0000u); }
DEVICE float widen(bf16 x) { return from_bits((u32)x << 16); }

DEVICE void load(float *numbers, const bf16 *from) {
    struct Eight eight = *(const struct Eight *)from;
    UNROLL for (int pair = 0; pair < 4; pair++) {
        numbers[2 * pair] = low(eight.pair[pair]);
        numbers[2 * pair + 1] = high(eight.pair[pair]);
    }
}

DEVICE void store(bf16 *to, const float *numbers) {
    struct Eight eight;
    UNROLL for (int pair = 0; pair < 4; pair++) eight.pair[pair] = pack(numbers[2 * pair], numbers[2 * pair + 1]);
    *(struct Eight *)to = eight;
}

// What `store` would leave.
DEVICE void round_all(float *numbers) {
    UNROLL for (int pair = 0; pair < 4; pair++) {
        u32 both = pack(numbers[2 * pair], numbers[2 * pair + 1]);
        numbers[2 * pair] = low(both);
        numbers[2 * pair + 1] = high(both);
    }
}

DEVICE void load_floats(float *numbers, const float *from) {
    struct Four first = ((const struct Four *)from)[0], second = ((const struct Four *)from)[1];
    UNROLL for (int at = 0; at < 4; at++) {
        numbers[at] = first.at[at];
        numbers[4 + at] = second.at[at];
    }
}

DEVICE float sum_of_warp(float value) {
    UNROLL for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
}

DEVICE int smaller(int x, int y) { return x < y ? x : y; }
