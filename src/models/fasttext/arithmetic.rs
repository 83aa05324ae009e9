//! The exponential function from additions and multiplications only.
//!
//! The C library's differs between machines in the last bit, and so would scores near a limit.

/// `e^x`, right to the last bit or two of an `f32`; 0 and infinity beyond its range.
#[expect(clippy::cast_possible_truncation, reason = "the result is an f32; the exponent is clamped")]
pub(super) fn exp(x: f32) -> f32 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let x = f64::from(x.clamp(-110.0, 110.0));
    let doublings = (x / LN_2).round();
    let rest = x - doublings * LN_2;
    // Taylor series on |rest| <= 0.35: the eleventh term is below 1e-13.
    let mut sum = 1.0;
    for n in (1..=10_u8).rev() {
        sum = 1.0 + rest * sum / f64::from(n);
    }
    let exponent = u64::from((doublings as i32 + 1023).cast_unsigned()) << 52;
    (sum * f64::from_bits(exponent)) as f32
}

#[cfg(test)]
mod tests {
    #[test]
    fn exp_is_close_to_the_library_everywhere() {
        for step in -8800_i16..8800 {
            let x = f32::from(step) / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(super::exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "e^{x}: off by {error}");
        }
        assert_eq!(super::exp(-1e9).to_bits(), 0);
        assert!(super::exp(1e9).is_infinite());
        assert!(super::exp(f32::NAN).is_nan());
    }
}
