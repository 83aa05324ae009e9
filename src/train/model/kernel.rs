//! Loops over rows, compiled for the baseline, for AVX2 and for AVX-512; the processor's best is taken at run time.
//!
//! The same operations in the same order in all three: sums go over 16 lanes that are added up at the end, nothing is fused. So the
//! result does not depend on which one runs.

/// Lanes of a sum.
const LANES: usize = 16;

/// e^x by Cody and Waite's reduction and a polynomial of degree 6; relative error below 2e-7 between -87 and 88, 0 below.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and taking it away rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    /// The natural logarithm of 2 in two parts, the first of few bits.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let whole = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let rest = (x - whole * LN_2[0]) - whole * LN_2[1];
    let sum = 1.987_569_1e-4;
    let sum = sum * rest + 1.398_199_9e-3;
    let sum = sum * rest + 8.333_452e-3;
    let sum = sum * rest + 4.166_579_6e-2;
    let sum = sum * rest + 1.666_666_5e-1;
    let sum = sum * rest + 0.5;
    let power = sum * rest * rest + rest + 1.0;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number between -126 and 127")]
    let exponent = whole.clamp(-126.0, 127.0) as i32;
    let scale = f32::from_bits(((exponent + 127) << 23).cast_unsigned());
    if x < -87.0 { 0.0 } else { power * scale }
}

#[expect(clippy::inline_always, reason = "must be compiled into each variant")]
#[inline(always)]
fn sum_of(count: usize, value: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = count / LANES * LANES;
    let mut at = 0;
    while at < whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += value(at + lane);
        }
        at += LANES;
    }
    for at in whole..count {
        lanes[at - whole] += value(at);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[expect(clippy::inline_always, reason = "must be compiled into each variant")]
#[inline(always)]
fn max_of(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = if *value > *lane { *value } else { *lane };
    }
    lanes.iter().fold(f32::NEG_INFINITY, |max, &lane| if lane > max { lane } else { max })
}

/// Defines a function and its variants.
macro_rules! variants {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        pub(super) fn $name($($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($argument: $kind),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
                fn avx512($($argument: $kind),*) $(-> $result)? {
                    plain($($argument),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $kind),*) $(-> $result)? {
                    plain($($argument),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    #[expect(unsafe_code, reason = "compiled for AVX-512")]
                    // SAFETY: the processor has these instructions, as was just asked.
                    return unsafe { avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    #[expect(unsafe_code, reason = "compiled for AVX2")]
                    // SAFETY: the processor has these instructions, as was just asked.
                    return unsafe { avx2($($argument),*) };
                }
            }
            plain($($argument),*)
        }
    };
}

variants! {
    /// Turns scores into weights e^(scale * score - log-sum-exp) and returns the log-sum-exp; a row of minus infinity only gives zeros.
    fn softmax(row: &mut [f32], scale: f32) -> f32 {
        let max = max_of(row) * scale;
        if max == f32::NEG_INFINITY {
            row.fill(0.0);
            return f32::NEG_INFINITY;
        }
        for value in row.iter_mut() {
            *value = exp(*value * scale - max);
        }
        let row_ref: &[f32] = row;
        let sum = sum_of(row_ref.len(), |at| row_ref[at]);
        let factor = 1.0 / sum;
        for value in row.iter_mut() {
            *value *= factor;
        }
        max + sum.ln()
    }
}

variants! {
    /// Turns scores into weights where their log-sum-exp is known.
    fn weights(row: &mut [f32], scale: f32, log_sum_exp: f32) {
        for value in row.iter_mut() {
            *value = exp(*value * scale - log_sum_exp);
        }
    }
}

variants! {
    /// Backward of the softmax: `scores = weights * (gradient - sum) * scale`, into `gradient`.
    fn softmax_backward(gradient: &mut [f32], weights: &[f32], sum: f32, scale: f32) {
        for (gradient, weight) in gradient.iter_mut().zip(weights) {
            *gradient = *weight * (*gradient - sum) * scale;
        }
    }
}

variants! {
    /// Sum of products.
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        let b = &b[..a.len()];
        sum_of(a.len(), |at| a[at] * b[at])
    }
}

variants! {
    /// Root mean square norm of a row: `out = x / rms * weight`; returns 1 / rms.
    fn norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> f32 {
        let square = sum_of(x.len(), |at| x[at] * x[at]);
        let factor = 1.0 / (square / x.len() as f32 + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = *x * factor * *weight;
        }
        factor
    }
}

variants! {
    /// Backward of the norm of a row: adds to the gradients of its input and of the weight.
    fn norm_backward(
        x: &[f32],
        weight: &[f32],
        factor: f32,
        gradient: &[f32],
        to_x: &mut [f32],
        to_weight: &mut [f32]
    ) {
        let (weight, gradient) = (&weight[..x.len()], &gradient[..x.len()]);
        let inner = sum_of(x.len(), |at| gradient[at] * weight[at] * x[at]);
        let pull = inner * factor * factor * factor / x.len() as f32;
        for at in 0..x.len() {
            to_x[at] += gradient[at] * weight[at] * factor - x[at] * pull;
            to_weight[at] += gradient[at] * x[at] * factor;
        }
    }
}

variants! {
    /// SwiGLU: `out = gate * sigmoid(gate) * up`.
    fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = *gate / (1.0 + exp(-*gate)) * *up;
        }
    }
}

variants! {
    /// Backward of SwiGLU: gradients of gate and up from that of the output, in place of their values.
    fn swiglu_backward(gate: &mut [f32], up: &mut [f32], gradient: &[f32]) {
        for ((gate, up), gradient) in gate.iter_mut().zip(up.iter_mut()).zip(gradient) {
            let sigmoid = 1.0 / (1.0 + exp(-*gate));
            let silu = *gate * sigmoid;
            let slope = sigmoid * (1.0 + *gate * (1.0 - sigmoid));
            *gate = *gradient * *up * slope;
            *up = *gradient * silu;
        }
    }
}

variants! {
    /// Rotates the pairs (i, i + half) of a head by angles given by their cosines and sines.
    fn rotate(head: &[f32], cosines: &[f32], sines: &[f32], out: &mut [f32]) {
        let half = head.len() / 2;
        let (first, second) = head.split_at(half);
        let (out_first, out_second) = out.split_at_mut(half);
        for at in 0..half {
            out_first[at] = first[at] * cosines[at] - second[at] * sines[at];
            out_second[at] = second[at] * cosines[at] + first[at] * sines[at];
        }
    }
}

variants! {
    /// Rotates back.
    fn rotate_back(head: &[f32], cosines: &[f32], sines: &[f32], out: &mut [f32]) {
        let half = head.len() / 2;
        let (first, second) = head.split_at(half);
        let (out_first, out_second) = out.split_at_mut(half);
        for at in 0..half {
            out_first[at] = first[at] * cosines[at] + second[at] * sines[at];
            out_second[at] = second[at] * cosines[at] - first[at] * sines[at];
        }
    }
}

variants! {
    /// `a += b`.
    fn add(a: &mut [f32], b: &[f32]) {
        for (a, b) in a.iter_mut().zip(b) {
            *a += *b;
        }
    }
}

variants! {
    /// `a *= factor`.
    fn scale(a: &mut [f32], factor: f32) {
        for a in a.iter_mut() {
            *a *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exponentials_are_near(x in -87.0_f32..88.0) {
            let exact = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) / exact - 1.0).abs() < 4e-7, "{x}: {} {exact}", exp(x));
        }

        #[test]
        fn softmax_sums_to_one(mut row in prop::collection::vec(-50.0_f32..50.0, 1..100), scale in 0.01_f32..1.0) {
            let exact: f64 = row.iter().map(|&x| (f64::from(x) * f64::from(scale)).exp()).sum();
            let mut again = row.clone();
            let log = softmax(&mut row, scale);
            prop_assert!((f64::from(log) - exact.ln()).abs() < 1e-4);
            prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            weights(&mut again, scale, log);
            prop_assert!(row.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-5));
        }

        #[test]
        fn sums_are_near(a in prop::collection::vec(-1.0_f32..1.0, 0..100)) {
            let exact: f64 = a.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            prop_assert!((f64::from(dot(&a, &a)) - exact).abs() < 1e-4);
        }
    }

    #[test]
    fn nothing_to_look_at_gives_nothing() {
        let mut row = [f32::NEG_INFINITY; 5];
        assert_eq!((softmax(&mut row, 1.0), row), (f32::NEG_INFINITY, [0.0; 5]));
        assert_eq!((exp(-1000.0), exp(0.0), exp(f32::NEG_INFINITY)), (0.0, 1.0, 0.0));
    }
}
