// Everything between the matrix products: embedding, norms, rotary positions, SwiGLU. Bound by memory: 16 bytes an access.

struct EmbedForward {
    const u32 *tokens;
    const bf16 *table;
    bf16 *stream;
    int rows;
};

// A warp for each token.
KERNEL(256, embed_forward, EmbedForward) {
    int row = block_x() * 8 + thread() / WARP, lane = thread() % WARP;
    if (row >= a.rows) return;
    const struct Eight *from = (const struct Eight *)(a.table + (u64)a.tokens[row] * DIM);
    struct Eight *to = (struct Eight *)(a.stream + (u64)row * DIM);
    for (int at = lane; at < VECTORS; at += WARP) to[at] = from[at];
}

struct EmbedBackward {
    // Positions of the batch, those of one token side by side and rising; where each token's begin (and one past the last); the tokens.
    const u32 *order;
    const u32 *starts;
    const u32 *tokens;
    // How many tokens are different.
    const u32 *count;
    const bf16 *to_stream;
    float *gradients;
};

// A warp adds up 256 columns of one token, in the order of positions: no two warps write to one place, so the sum is always the same.
KERNEL(256, embed_backward, EmbedBackward) {
    int lane = thread() % WARP, slices = LANE_VECTORS;
    u32 tasks = *a.count * slices, step = blocks_x() * 8;
    for (u32 task = block_x() * 8 + thread() / WARP; task < tasks; task += step) {
        u32 number = task / slices, vector = task % slices * WARP + lane;
        if (vector >= VECTORS) continue;
        float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        u32 end = a.starts[number + 1];
        const bf16 *column = a.to_stream + (u64)vector * 8;
        u32 at = a.starts[number];
        // Four loads on their way at once.
        for (; at + 4 <= end; at += 4) {
            float four[4][8];
            UNROLL for (int n = 0; n < 4; n++) load(four[n], column + (u64)a.order[at + n] * DIM);
            UNROLL for (int n = 0; n < 4; n++)
                UNROLL for (int i = 0; i < 8; i++) sums[i] += four[n][i];
        }
        for (; at < end; at++) {
            float one[8];
            load(one, column + (u64)a.order[at] * DIM);
            UNROLL for (int i = 0; i < 8; i++) sums[i] += one[i];
        }
        float *to = a.gradients + (u64)a.tokens[number] * DIM + vector * 8;
        UNROLL for (int i = 0; i < 8; i++) to[i] += sums[i];
    }
}

struct NormForward {
    const bf16 *stream;
    // What is added to the stream first, or nothing.
    const bf16 *delta;
    bf16 *sum;
    const float *weight;
    bf16 *normed;
    float *factors;
    int rows;
    float eps;
};

// A warp for each row, which stays in registers. The norm is that of the rounded sum: backward sees no other.
KERNEL(256, norm_forward, NormForward) {
    int row = block_x() * 8 + thread() / WARP, lane = thread() % WARP;
    if (row >= a.rows) return;
    u64 start = (u64)row * DIM;
    float x[LANE_VECTORS][8];
    float squares = 0.0f;
    UNROLL for (int n = 0; n < LANE_VECTORS; n++) {
        int vector = n * WARP + lane;
        if (vector < VECTORS) {
            load(x[n], a.stream + start + vector * 8);
            if (a.delta) {
                float delta[8];
                load(delta, a.delta + start + vector * 8);
                UNROLL for (int i = 0; i < 8; i++) x[n][i] += delta[i];
                round_all(x[n]);
                store(a.sum + start + vector * 8, x[n]);
            }
            UNROLL for (int i = 0; i < 8; i++) squares += x[n][i] * x[n][i];
        }
    }
    float factor = root_of_inverse(sum_of_warp(squares) * (1.0f / DIM) + a.eps);
    if (lane == 0) a.factors[row] = factor;
    UNROLL for (int n = 0; n < LANE_VECTORS; n++) {
        int vector = n * WARP + lane;
        if (vector < VECTORS) {
            float weight[8];
            load_floats(weight, a.weight + vector * 8);
            UNROLL for (int i = 0; i < 8; i++) x[n][i] *= factor * weight[i];
            store(a.normed + start + vector * 8, x[n]);
        }
    }
}

struct NormBackward {
    const bf16 *stream;
    const float *factors;
    const float *weight;
    const bf16 *gradient;
    // Gradient of what came before, to add to; nothing where it is the first.
    const bf16 *before;
    bf16 *to_stream;
    // [blocks, DIM]: each block's part of the weight's gradient.
    float *partial;
    int rows;
};

// With n = x f: dx = f (g w - n mean(g w n)), dw = sum of g n. Blocks take rows in turn; their number is fixed, so that sums are too.
KERNEL(256, norm_backward, NormBackward) {
    SHARED float parts[8][256];
    int warp = thread() / WARP, lane = thread() % WARP;
    float to_weight[LANE_VECTORS][8];
    UNROLL for (int n = 0; n < LANE_VECTORS; n++)
        UNROLL for (int i = 0; i < 8; i++) to_weight[n][i] = 0.0f;
    for (int row = block_x() * 8 + warp; row < a.rows; row += blocks_x() * 8) {
        u64 start = (u64)row * DIM;
        float factor = a.factors[row], dot = 0.0f;
        float normed[LANE_VECTORS][8], gradient[LANE_VECTORS][8];
        UNROLL for (int n = 0; n < LANE_VECTORS; n++) {
            int vector = n * WARP + lane;
            if (vector < VECTORS) {
                float weight[8];
                load(normed[n], a.stream + start + vector * 8);
                load(gradient[n], a.gradient + start + vector * 8);
                load_floats(weight, a.weight + vector * 8);
                UNROLL for (int i = 0; i < 8; i++) {
                    normed[n][i] *= factor;
                    to_weight[n][i] += gradient[n][i] * normed[n][i];
                    gradient[n][i] *= weight[i];
                    dot += gradient[n][i] * normed[n][i];
                }
            }
        }
        dot = sum_of_warp(dot) * (1.0f / DIM);
        UNROLL for (int n = 0; n < LANE_VECTORS; n++) {
            int vector = n * WARP + lane;
            if (vector < VECTORS) {
                float before[8] = {0, 0, 0, 0, 0, 0, 0, 0};
                if (a.before) load(before, a.before + start + vector * 8);
                UNROLL for (int i = 0; i < 8; i++) before[i] += factor * (gradient[n][i] - normed[n][i] * dot);
                store(a.to_stream + start + vector * 8, before);
            }
        }
    }
    UNROLL for (int n = 0; n < LANE_VECTORS; n++) {
        sync_block();
        UNROLL for (int i = 0; i < 8; i++) parts[warp][lane * 8 + i] = to_weight[n][i];
        sync_block();
        int column = n * 256 + thread();
        if (column < DIM) {
            float sum = 0.0f;
            UNROLL for (int part = 0; part < 8; part++) sum += parts[part][thread()];
            a.partial[(u64)block_x() * DIM + column] = sum;
        }
    }
}

struct NormWeight {
    const float *partial;
    float *gradient;
    int parts;
};

// Adds the blocks' parts up, 32 columns a block.
KERNEL(256, norm_weight, NormWeight) {
    SHARED float sums[8][WARP];
    int warp = thread() / WARP, lane = thread() % WARP, column = block_x() * WARP + lane;
    float sum = 0.0f;
    if (column < DIM)
        for (int part = warp; part < a.parts; part += 8) sum += a.partial[(u64)part * DIM + column];
    sums[warp][lane] = sum;
    sync_block();
    if (warp == 0 && column < DIM) {
        float total = 0.0f;
        UNROLL for (int part = 0; part < 8; part++) total += sums[part][lane];
        a.gradient[column] += total;
    }
}

struct Rope {
    // [tokens, QKV], changed in place.
    bf16 *qkv;
    // [length, HEAD / 2] each.
    const float *cosines;
    const float *sines;
    int tokens;
    int length;
    // 1 forward; -1 turns gradients back.
    float direction;
};

// Eight pairs of a query or key a thread. Pairs are half a head apart, as Hugging Face has them.
KERNEL(256, rope, Rope) {
    int vectors = (HEADS + KV_HEADS) * (HEAD / 16);
    u64 task = (u64)block_x() * 256 + thread();
    if (task >= (u64)a.tokens * vectors) return;
    int token = (int)(task / vectors), vector = (int)(task % vectors);
    int head = vector / (HEAD / 16), at = vector % (HEAD / 16) * 8;
    bf16 *first = a.qkv + (u64)token * QKV + head * HEAD + at, *second = first + HEAD / 2;
    float x[8], y[8], cosine[8], sine[8];
    int angle = token % a.length * (HEAD / 2) + at;
    load(x, first);
    load(y, second);
    load_floats(cosine, a.cosines + angle);
    load_floats(sine, a.sines + angle);
    UNROLL for (int i = 0; i < 8; i++) {
        float turn = sine[i] * a.direction, old = x[i];
        x[i] = old * cosine[i] - y[i] * turn;
        y[i] = y[i] * cosine[i] + old * turn;
    }
    store(first, x);
    store(second, y);
}

struct Swiglu {
    // [rows, 2 FFN]: gate, then up. Backward leaves their gradient there.
    bf16 *gate_up;
    // [rows, FFN]: the output, or its gradient.
    bf16 *hidden;
    int rows;
};

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + exp_2(-1.44269504f * x)); }

KERNEL(256, swiglu_forward, Swiglu) {
    u64 task = (u64)block_x() * 256 + thread();
    if (task >= (u64)a.rows * (FFN / 8)) return;
    u64 row = task / (FFN / 8), at = task % (FFN / 8) * 8;
    float gate[8], up[8];
    load(gate, a.gate_up + row * 2 * FFN + at);
    load(up, a.gate_up + row * 2 * FFN + FFN + at);
    UNROLL for (int i = 0; i < 8; i++) gate[i] *= sigmoid(gate[i]) * up[i];
    store(a.hidden + row * FFN + at, gate);
}

KERNEL(256, swiglu_backward, Swiglu) {
    u64 task = (u64)block_x() * 256 + thread();
    if (task >= (u64)a.rows * (FFN / 8)) return;
    u64 row = task / (FFN / 8), at = task % (FFN / 8) * 8;
    float gate[8], up[8], gradient[8];
    load(gate, a.gate_up + row * 2 * FFN + at);
    load(up, a.gate_up + row * 2 * FFN + FFN + at);
    load(gradient, a.hidden + row * FFN + at);
    UNROLL for (int i = 0; i < 8; i++) {
        float share = sigmoid(gate[i]), silu = gate[i] * share;
        gate[i] = gradient[i] * up[i] * (share + silu * (1.0f - share));
        up[i] = gradient[i] * silu;
    }
    store(a.gate_up + row * 2 * FFN + at, gate);
    store(a.gate_up + row * 2 * FFN + FFN + at, up);
}
