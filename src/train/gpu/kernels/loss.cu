// Cross-entropy on rows of logits that turn into their own gradient, and the sum of the losses.

struct CrossEntropy {
    // [rows, LOGIT_STRIDE], of which VOCAB count.
    bf16 *logits;
    // 0xffffffff: does not count.
    const u32 *targets;
    float *losses;
    // What the gradient is multiplied with; nothing: logits stay.
    const float *scale;
};

// A block for each row: once to find the largest and the sum (Milakov and Gimelshein 2018), once to write the gradient.
KERNEL(256, cross_entropy, CrossEntropy) {
    SHARED float tops[8], sums[8];
    int warp = thread() / WARP, lane = thread() % WARP, row = block_x();
    bf16 *logits = a.logits + (u64)row * LOGIT_STRIDE;
    u32 target = a.targets[row];
    float top = -INFINITE, sum = 0.0f;
    for (int at = thread() * 8; at < VOCAB; at += 256 * 8) {
        float eight[8];
        load(eight, logits + at);
        float most = top;
        UNROLL for (int i = 0; i < 8; i++)
            if (at + i < VOCAB) most = larger(most, eight[i]);
        float more = 0.0f;
        UNROLL for (int i = 0; i < 8; i++)
            if (at + i < VOCAB) more += exp_2((eight[i] - most) * 1.44269504f);
        // The first time `top` is minus infinity, and so is the exponent.
        sum = sum * exp_2((top - most) * 1.44269504f) + more;
        top = most;
    }
    UNROLL for (int mask = 16; mask > 0; mask /= 2) {
        float other_top = shuffle_xor(top, mask), other_sum = shuffle_xor(sum, mask);
        float most = larger(top, other_top);
        if (most > -INFINITE) {
            sum = sum * exp_2((top - most) * 1.44269504f) + other_sum * exp_2((other_top - most) * 1.44269504f);
            top = most;
        }
    }
    if (lane == 0) {
        tops[warp] = top;
        sums[warp] = sum;
    }
    sync_block();
    top = tops[0];
    UNROLL for (int part = 1; part < 8; part++) top = larger(top, tops[part]);
    sum = 0.0f;
    UNROLL for (int part = 0; part < 8; part++) sum += sums[part] * exp_2((tops[part] - top) * 1.44269504f);
    float log_sum = top + log_2(sum) * 0.69314718f;
    if (thread() == 0) a.losses[row] = target == 0xffffffffu ? 0.0f : log_sum - widen(logits[target]);
    if (!a.scale) return;
    // The target's logit is read before it is overwritten.
    sync_block();
    float scale = target == 0xffffffffu ? 0.0f : *a.scale;
    for (int at = thread() * 8; at < VOCAB; at += 256 * 8) {
        float eight[8];
        load(eight, logits + at);
        UNROLL for (int i = 0; i < 8; i++) {
            float share = exp_2((eight[i] - log_sum) * 1.44269504f);
            eight[i] = scale * (share - ((u32)(at + i) == target ? 1.0f : 0.0f));
        }
        store(logits + at, eight);
    }
}

struct SumLosses {
    const float *losses;
    double *total;
    int count;
};

// One block: adds all losses to the total, in the same order each time.
KERNEL(256, sum_losses, SumLosses) {
    SHARED double sums[256];
    double sum = 0.0;
    for (int at = thread(); at < a.count; at += 256) sum += (double)a.losses[at];
    sums[thread()] = sum;
    sync_block();
    if (thread() == 0) {
        double total = 0.0;
        for (int part = 0; part < 256; part++) total += sums[part];
        *a.total += total;
    }
}
