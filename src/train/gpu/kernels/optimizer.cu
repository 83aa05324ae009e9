// The norm of the gradient, AdamW, and the copy of the weights that products read.

struct Squares {
    const float *gradients;
    double *partial;
    u64 count;
};

// Fixed blocks, so that sums are always the same.
KERNEL(256, squares, Squares) {
    SHARED double sums[256];
    double sum = 0.0;
    for (u64 at = (u64)block_x() * 256 + thread(); at < a.count; at += (u64)blocks_x() * 256) {
        double x = (double)a.gradients[at];
        sum += x * x;
    }
    sums[thread()] = sum;
    sync_block();
    for (int width = 128; width > 0; width /= 2) {
        if (thread() < width) sums[thread()] += sums[thread() + width];
        sync_block();
    }
    if (thread() == 0) a.partial[block_x()] = sums[0];
}

struct SumSquares {
    const double *partial;
    double *total;
    int count;
};

KERNEL(256, sum_squares, SumSquares) {
    if (thread() > 0) return;
    double total = 0.0;
    for (int part = 0; part < a.count; part++) total += a.partial[part];
    *a.total = total;
}

struct Adamw {
    float *parameters;
    bf16 *rounded;
    const float *gradients;
    float *mean;
    float *square;
    // For each DIM parameters whether they decay.
    const unsigned char *decays;
    u64 count;
    float keep;
    float step;
    float root;
    float beta1;
    float beta2;
    float eps;
    float scale;
};

// All parameters in one launch, four a thread.
KERNEL(256, adamw, Adamw) {
    u64 at = ((u64)block_x() * 256 + thread()) * 4;
    if (at >= a.count) return;
    float keep = a.decays[at / DIM] ? a.keep : 1.0f;
    struct Four parameters = *(struct Four *)(a.parameters + at), mean = *(struct Four *)(a.mean + at);
    struct Four square = *(struct Four *)(a.square + at), gradients = *(const struct Four *)(a.gradients + at);
    UNROLL for (int i = 0; i < 4; i++) {
        float gradient = gradients.at[i] * a.scale;
        mean.at[i] = a.beta1 * mean.at[i] + (1.0f - a.beta1) * gradient;
        square.at[i] = a.beta2 * square.at[i] + (1.0f - a.beta2) * gradient * gradient;
        parameters.at[i] = parameters.at[i] * keep - a.step * mean.at[i] / (root(square.at[i]) / a.root + a.eps);
    }
    *(struct Four *)(a.parameters + at) = parameters;
    *(struct Four *)(a.mean + at) = mean;
    *(struct Four *)(a.square + at) = square;
    ((u32 *)(a.rounded + at))[0] = pack(parameters.at[0], parameters.at[1]);
    ((u32 *)(a.rounded + at))[1] = pack(parameters.at[2], parameters.at[3]);
}

struct Round {
    const float *from;
    bf16 *to;
    u64 count;
};

KERNEL(256, round_weights, Round) {
    u64 at = ((u64)block_x() * 256 + thread()) * 8;
    if (at >= a.count) return;
    float numbers[8];
    load_floats(numbers, a.from + at);
    store(a.to + at, numbers);
}
