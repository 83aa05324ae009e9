// Causal attention on tensor cores, by tiles that stay on the chip (Dao 2023, "FlashAttention-2"); exponents are of two.
//
// Backward is two kernels, one that owns keys and one that owns queries: the scores are computed once more than with atomic additions, but
// every sum has one order, so the gradient is the same each time.
//
// A warp owns 16 rows of a tile (32 forward, for narrow heads). Tiles in shared memory have rows of HEAD + 8 numbers: eight rows of a
// matrix then lie in different banks for every HEAD that is a multiple of 16.

#define TILE 64
#define PITCH (HEAD + 8)
#define WARP_TILES (HEAD <= 64 ? 2 : 1)
#define QUERY_TILE (64 * WARP_TILES)
#define STEPS (HEAD / 16)

// Rows of a tile, on their way to shared memory; zeros from `valid` on.
DEVICE void load_tile(bf16 *tile, const bf16 *from, int stride, int rows, int valid) {
    for (int at = thread(); at < rows * (HEAD / 8); at += 128) {
        int row = at / (HEAD / 8), column = at % (HEAD / 8) * 8;
        copy_later(tile + row * PITCH + column, from + (row < valid ? (u64)row * stride + column : 0), row < valid);
    }
}

// A 16 x 16 piece as the left factor.
DEVICE void left_factor(u32 *parts, const bf16 *tile, int row, int column) {
    int lane = thread() % WARP;
    load_matrices(parts, tile + (row + (lane & 15)) * PITCH + column + (lane >> 4) * 8);
}

// 16 rows by 16 columns as two right factors: rows of the tile are columns of the factor.
DEVICE void right_factors(u32 *parts, const bf16 *tile, int row, int column) {
    int lane = thread() % WARP;
    load_matrices(parts, tile + (row + (lane & 7) + (lane >> 4) * 8) * PITCH + column + ((lane >> 3) & 1) * 8);
}

// 16 rows by 16 columns as two right factors: rows of the tile are rows of the factors.
DEVICE void right_factors_by_rows(u32 *parts, const bf16 *tile, int row, int column) {
    int lane = thread() % WARP;
    load_transposed(parts, tile + (row + (lane & 15)) * PITCH + column + (lane >> 4) * 8);
}

// scores[16, 64] = 16 rows of `left` times all rows of `right`.
DEVICE void all_products(float scores[TILE / 8][4], const bf16 *left, int row, const bf16 *right) {
    UNROLL for (int n = 0; n < TILE / 8; n++)
        UNROLL for (int e = 0; e < 4; e++) scores[n][e] = 0.0f;
    UNROLL for (int k = 0; k < STEPS; k++) {
        u32 a[4];
        left_factor(a, left, row, k * 16);
        UNROLL for (int n = 0; n < TILE / 16; n++) {
            u32 b[4];
            right_factors(b, right, n * 16, k * 16);
            multiply(scores[2 * n], a, b);
            multiply(scores[2 * n + 1], a, b + 2);
        }
    }
}

// sums[16, HEAD] += weights[16, 64] times the tile.
DEVICE void add_weighted(float sums[HEAD / 8][4], float weights[TILE / 8][4], const bf16 *tile) {
    UNROLL for (int k = 0; k < TILE / 16; k++) {
        u32 a[4];
        a[0] = pack(weights[2 * k][0], weights[2 * k][1]);
        a[1] = pack(weights[2 * k][2], weights[2 * k][3]);
        a[2] = pack(weights[2 * k + 1][0], weights[2 * k + 1][1]);
        a[3] = pack(weights[2 * k + 1][2], weights[2 * k + 1][3]);
        UNROLL for (int n = 0; n < STEPS; n++) {
            u32 b[4];
            right_factors_by_rows(b, tile, k * 16, n * 16);
            multiply(sums[2 * n], a, b);
            multiply(sums[2 * n + 1], a, b + 2);
        }
    }
}

// Writes 16 rows times `factor`, those before `rows`.
DEVICE void write_rows(bf16 *to, int stride, int row, int rows, float sums[HEAD / 8][4], const float *factor) {
    int lane = thread() % WARP, quad = lane % 4;
    UNROLL for (int half = 0; half < 2; half++) {
        int at = row + lane / 4 + half * 8;
        if (at < rows)
            UNROLL for (int n = 0; n < HEAD / 8; n++)
                *(u32 *)(to + (u64)at * stride + n * 8 + quad * 2) =
                    pack(sums[n][2 * half] * factor[half], sums[n][2 * half + 1] * factor[half]);
    }
}

struct Attention {
    // [sequences, length, QKV], rotated.
    const bf16 *qkv;
    // [sequences, length, HEADS, HEAD]
    bf16 *attended;
    // [sequences, HEADS, length]: the logarithm to base two of the sum of exponentials.
    float *log_sums;
    // First position that each may see, rising; or nothing.
    const int *first;
    int length;
    // Of the scores, with the change of base.
    float scale;
};

KERNEL(128, attention_forward, Attention) {
    DYNAMIC_SHARED(memory);
    bf16 *queries = (bf16 *)memory, *keys = queries + QUERY_TILE * PITCH, *values = keys + 2 * TILE * PITCH;
    int warp = thread() / WARP, lane = thread() % WARP, quad = lane % 4;
    int head = block_y(), key_head = head / (HEADS / KV_HEADS), length = a.length;
    u64 sequence = (u64)block_z() * length;
    // The longest first.
    int from = ((length + QUERY_TILE - 1) / QUERY_TILE - 1 - block_x()) * QUERY_TILE;
    int until = smaller(from + QUERY_TILE, length);
    const bf16 *query = a.qkv + sequence * QKV + head * HEAD;
    const bf16 *key = a.qkv + sequence * QKV + (HEADS + key_head) * HEAD, *value = key + KV_HEADS * HEAD;
    const int *first = a.first ? a.first + sequence : 0;
    int begin = first ? first[from] / TILE * TILE : 0;

    load_tile(queries, query + (u64)from * QKV, QKV, QUERY_TILE, length - from);
    load_tile(keys, key + (u64)begin * QKV, QKV, TILE, length - begin);
    load_tile(values, value + (u64)begin * QKV, QKV, TILE, length - begin);
    copies_begin();

    u32 q[WARP_TILES][STEPS][4];
    float out[WARP_TILES][HEAD / 8][4], top[WARP_TILES][2], sum[WARP_TILES][2];
    UNROLL for (int m = 0; m < WARP_TILES; m++) {
        UNROLL for (int n = 0; n < HEAD / 8; n++)
            UNROLL for (int e = 0; e < 4; e++) out[m][n][e] = 0.0f;
        UNROLL for (int half = 0; half < 2; half++) {
            top[m][half] = -INFINITE;
            sum[m][half] = 0.0f;
        }
    }
    int row = warp * WARP_TILES * 16, stage = 0;
    for (int at = begin; at < until; at += TILE, stage ^= 1) {
        copies_done();
        sync_block();
        // All are through with the other half of the memory.
        if (at + TILE < until) {
            int next = at + TILE;
            load_tile(keys + (stage ^ 1) * TILE * PITCH, key + (u64)next * QKV, QKV, TILE, length - next);
            load_tile(values + (stage ^ 1) * TILE * PITCH, value + (u64)next * QKV, QKV, TILE, length - next);
            copies_begin();
        }
        if (at == begin)
            UNROLL for (int m = 0; m < WARP_TILES; m++)
                UNROLL for (int k = 0; k < STEPS; k++) left_factor(q[m][k], queries, row + m * 16, k * 16);
        float s[WARP_TILES][TILE / 8][4];
        UNROLL for (int m = 0; m < WARP_TILES; m++)
            UNROLL for (int n = 0; n < TILE / 8; n++)
                UNROLL for (int e = 0; e < 4; e++) s[m][n][e] = 0.0f;
        UNROLL for (int k = 0; k < STEPS; k++)
            UNROLL for (int n = 0; n < TILE / 16; n++) {
                u32 b[4];
                right_factors(b, keys + stage * TILE * PITCH, n * 16, k * 16);
                UNROLL for (int m = 0; m < WARP_TILES; m++) {
                    multiply(s[m][2 * n], q[m][k], b);
                    multiply(s[m][2 * n + 1], q[m][k], b + 2);
                }
            }
        UNROLL for (int m = 0; m < WARP_TILES; m++) {
            UNROLL for (int half = 0; half < 2; half++) {
                int position = from + row + m * 16 + lane / 4 + half * 8;
                if (first || at + TILE > from + row) {
                    int least = first ? first[smaller(position, length - 1)] : 0;
                    UNROLL for (int n = 0; n < TILE / 8; n++)
                        UNROLL for (int e = 0; e < 2; e++) {
                            int seen = at + n * 8 + quad * 2 + e;
                            if (seen > position || seen < least) s[m][n][2 * half + e] = -INFINITE;
                        }
                }
                float most = top[m][half];
                UNROLL for (int n = 0; n < TILE / 8; n++)
                    most = larger(most, larger(s[m][n][2 * half], s[m][n][2 * half + 1]));
                most = larger(most, shuffle_xor(most, 1));
                most = larger(most, shuffle_xor(most, 2));
                // Nothing seen yet: any base will do.
                float base = most == -INFINITE ? 0.0f : most * a.scale;
                float shrink = exp_2(top[m][half] * a.scale - base);
                float more = 0.0f;
                UNROLL for (int n = 0; n < TILE / 8; n++)
                    UNROLL for (int e = 0; e < 2; e++) {
                        float weight = exp_2(s[m][n][2 * half + e] * a.scale - base);
                        s[m][n][2 * half + e] = weight;
                        more += weight;
                    }
                top[m][half] = most;
                sum[m][half] = sum[m][half] * shrink + more;
                UNROLL for (int n = 0; n < HEAD / 8; n++)
                    UNROLL for (int e = 0; e < 2; e++) out[m][n][2 * half + e] *= shrink;
            }
        }
        UNROLL for (int k = 0; k < TILE / 16; k++) {
            u32 p[WARP_TILES][4];
            UNROLL for (int m = 0; m < WARP_TILES; m++) {
                p[m][0] = pack(s[m][2 * k][0], s[m][2 * k][1]);
                p[m][1] = pack(s[m][2 * k][2], s[m][2 * k][3]);
                p[m][2] = pack(s[m][2 * k + 1][0], s[m][2 * k + 1][1]);
                p[m][3] = pack(s[m][2 * k + 1][2], s[m][2 * k + 1][3]);
            }
            UNROLL for (int n = 0; n < STEPS; n++) {
                u32 b[4];
                right_factors_by_rows(b, values + stage * TILE * PITCH, k * 16, n * 16);
                UNROLL for (int m = 0; m < WARP_TILES; m++) {
                    multiply(out[m][2 * n], p[m], b);
                    multiply(out[m][2 * n + 1], p[m], b + 2);
                }
            }
        }
    }
    UNROLL for (int m = 0; m < WARP_TILES; m++) {
        float inverse[2];
        UNROLL for (int half = 0; half < 2; half++) {
            float total = sum[m][half];
            total += shuffle_xor(total, 1);
            total += shuffle_xor(total, 2);
            inverse[half] = 1.0f / total;
            int position = from + row + m * 16 + lane / 4 + half * 8;
            if (quad == 0 && position < length)
                a.log_sums[((u64)block_z() * HEADS + head) * length + position] = top[m][half] * a.scale + log_2(total);
        }
        write_rows(a.attended + sequence * DIM + head * HEAD, DIM, from + row + m * 16, length, out[m], inverse);
    }
}

struct AttentionDots {
    const bf16 *attended;
    const bf16 *to_attended;
    // [sequences, HEADS, length]
    float *dots;
    int tokens;
    int length;
};

// The product of each output with its gradient: what softmax takes off every weight's gradient.
KERNEL(256, attention_dots, AttentionDots) {
    u64 task = (u64)block_x() * 256 + thread();
    if (task >= (u64)a.tokens * HEADS) return;
    u64 token = task / HEADS, head = task % HEADS;
    float dot = 0.0f;
    UNROLL for (int at = 0; at < HEAD; at += 8) {
        float x[8], y[8];
        load(x, a.attended + token * DIM + head * HEAD + at);
        load(y, a.to_attended + token * DIM + head * HEAD + at);
        UNROLL for (int i = 0; i < 8; i++) dot += x[i] * y[i];
    }
    a.dots[(token / a.length * HEADS + head) * a.length + token % a.length] = dot;
}

struct AttentionBackward {
    const bf16 *qkv;
    const bf16 *to_attended;
    const float *log_sums;
    const float *dots;
    const int *first;
    // [sequences, length, QKV]
    bf16 *to_qkv;
    int length;
    float scale;
    // Of the scores, without the change of base.
    float plain_scale;
};

// Gradients of 64 queries.
KERNEL(128, attention_to_queries, AttentionBackward) {
    DYNAMIC_SHARED(memory);
    bf16 *queries = (bf16 *)memory, *gradients = queries + TILE * PITCH;
    bf16 *keys = gradients + TILE * PITCH, *values = keys + 2 * TILE * PITCH;
    int warp = thread() / WARP, lane = thread() % WARP, quad = lane % 4;
    int head = block_y(), key_head = head / (HEADS / KV_HEADS), length = a.length;
    u64 sequence = (u64)block_z() * length;
    int from = ((length + TILE - 1) / TILE - 1 - block_x()) * TILE;
    int until = smaller(from + TILE, length), row = warp * 16;
    const bf16 *query = a.qkv + sequence * QKV + head * HEAD;
    const bf16 *key = a.qkv + sequence * QKV + (HEADS + key_head) * HEAD, *value = key + KV_HEADS * HEAD;
    const bf16 *gradient = a.to_attended + sequence * DIM + head * HEAD;
    const int *first = a.first ? a.first + sequence : 0;
    int begin = first ? first[from] / TILE * TILE : 0;
    load_tile(queries, query + (u64)from * QKV, QKV, TILE, length - from);
    load_tile(gradients, gradient + (u64)from * DIM, DIM, TILE, length - from);
    load_tile(keys, key + (u64)begin * QKV, QKV, TILE, length - begin);
    load_tile(values, value + (u64)begin * QKV, QKV, TILE, length - begin);
    copies_begin();
    float sums[HEAD / 8][4], log_sum[2], dot[2];
    UNROLL for (int n = 0; n < HEAD / 8; n++)
        UNROLL for (int e = 0; e < 4; e++) sums[n][e] = 0.0f;
    UNROLL for (int half = 0; half < 2; half++) {
        int position = from + row + lane / 4 + half * 8;
        u64 place = ((u64)block_z() * HEADS + head) * length + position;
        log_sum[half] = position < length ? a.log_sums[place] : 0.0f;
        dot[half] = position < length ? a.dots[place] : 0.0f;
    }
    int stage = 0;
    for (int at = begin; at < until; at += TILE, stage ^= 1) {
        copies_done();
        sync_block();
        if (at + TILE < until) {
            int next = at + TILE;
            load_tile(keys + (stage ^ 1) * TILE * PITCH, key + (u64)next * QKV, QKV, TILE, length - next);
            load_tile(values + (stage ^ 1) * TILE * PITCH, value + (u64)next * QKV, QKV, TILE, length - next);
            copies_begin();
        }
        float s[TILE / 8][4], to_weight[TILE / 8][4];
        all_products(s, queries, row, keys + stage * TILE * PITCH);
        all_products(to_weight, gradients, row, values + stage * TILE * PITCH);
        UNROLL for (int half = 0; half < 2; half++) {
            int position = from + row + lane / 4 + half * 8;
            int least = first ? first[smaller(position, length - 1)] : 0;
            UNROLL for (int n = 0; n < TILE / 8; n++)
                UNROLL for (int e = 0; e < 2; e++) {
                    int seen = at + n * 8 + quad * 2 + e, place = 2 * half + e;
                    float weight = exp_2(s[n][place] * a.scale - log_sum[half]);
                    int is_seen = seen <= position && seen >= least && position < length;
                    s[n][place] = is_seen ? weight * (to_weight[n][place] - dot[half]) : 0.0f;
                }
        }
        add_weighted(sums, s, keys + stage * TILE * PITCH);
    }
    float factor[2] = {a.plain_scale, a.plain_scale};
    write_rows(a.to_qkv + sequence * QKV + head * HEAD, QKV, from + row, length, sums, factor);
}

// Gradients of 64 keys and values, from all queries that see them, of all heads that share them.
KERNEL(128, attention_to_keys, AttentionBackward) {
    DYNAMIC_SHARED(memory);
    bf16 *keys = (bf16 *)memory, *values = keys + TILE * PITCH;
    bf16 *queries = values + TILE * PITCH, *gradients = queries + 2 * TILE * PITCH;
    int warp = thread() / WARP, lane = thread() % WARP, quad = lane % 4;
    int key_head = block_y(), length = a.length, from = block_x() * TILE, row = warp * 16;
    u64 sequence = (u64)block_z() * length;
    const bf16 *key = a.qkv + sequence * QKV + (HEADS + key_head) * HEAD, *value = key + KV_HEADS * HEAD;
    const int *first = a.first ? a.first + sequence : 0;
    int tiles = 0;
    for (int at = from; at < length && (!first || first[at] < from + TILE); at += TILE) tiles++;
    load_tile(keys, key + (u64)from * QKV, QKV, TILE, length - from);
    load_tile(values, value + (u64)from * QKV, QKV, TILE, length - from);
    float to_keys[HEAD / 8][4], to_values[HEAD / 8][4];
    UNROLL for (int n = 0; n < HEAD / 8; n++)
        UNROLL for (int e = 0; e < 4; e++) to_keys[n][e] = to_values[n][e] = 0.0f;
    int tasks = tiles * (HEADS / KV_HEADS), stage = 0;
    for (int task = -1; task < tasks; task++) {
        if (task >= 0) {
            copies_done();
            sync_block();
        }
        if (task + 1 < tasks) {
            int head = key_head * (HEADS / KV_HEADS) + (task + 1) / tiles, at = from + (task + 1) % tiles * TILE;
            int other = task < 0 ? 0 : stage ^ 1;
            load_tile(queries + other * TILE * PITCH, a.qkv + (sequence + at) * QKV + head * HEAD, QKV, TILE, length - at);
            load_tile(gradients + other * TILE * PITCH, a.to_attended + (sequence + at) * DIM + head * HEAD, DIM, TILE,
                      length - at);
            copies_begin();
        }
        if (task < 0) continue;
        int head = key_head * (HEADS / KV_HEADS) + task / tiles, at = from + task % tiles * TILE;
        const float *log_sums = a.log_sums + ((u64)block_z() * HEADS + head) * length;
        const float *dots = a.dots + ((u64)block_z() * HEADS + head) * length;
        float s[TILE / 8][4], to_weight[TILE / 8][4];
        all_products(s, keys, row, queries + stage * TILE * PITCH);
        all_products(to_weight, values, row, gradients + stage * TILE * PITCH);
        UNROLL for (int n = 0; n < TILE / 8; n++)
            UNROLL for (int e = 0; e < 2; e++) {
                int position = at + n * 8 + quad * 2 + e;
                int inside = position < length, place = smaller(position, length - 1);
                int least = first ? first[place] : 0;
                float log_sum = log_sums[place], dot = dots[place];
                UNROLL for (int half = 0; half < 2; half++) {
                    int seen = from + row + lane / 4 + half * 8, which = 2 * half + e;
                    int is_seen = inside && seen <= position && seen >= least;
                    float weight = is_seen ? exp_2(s[n][which] * a.scale - log_sum) : 0.0f;
                    s[n][which] = weight;
                    to_weight[n][which] = weight * (to_weight[n][which] - dot);
                }
            }
        add_weighted(to_values, s, gradients + stage * TILE * PITCH);
        add_weighted(to_keys, to_weight, queries + stage * TILE * PITCH);
        stage ^= 1;
    }
    float one[2] = {1.0f, 1.0f}, factor[2] = {a.plain_scale, a.plain_scale};
    bf16 *to = a.to_qkv + sequence * QKV + (HEADS + key_head) * HEAD;
    write_rows(to, QKV, from + row, length, to_keys, factor);
    write_rows(to + KV_HEADS * HEAD, QKV, from + row, length, to_values, one);
}
