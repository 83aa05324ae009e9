//! Numbers with some decimals, as `{:.6}` prints them and several times as fast.
//!
//! A float is a whole number times a power of two; times 10^decimals it is at most 75 bits, so 128 bits hold it, and the
//! rest that is shifted away tells exactly how to round (half to even, as the standard library).

use std::io::Write;

/// Digits of a whole number.
pub(super) fn put_whole(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] =
            b'0' + number.to_le_bytes()[0].wrapping_sub((number / 10).to_le_bytes()[0].wrapping_mul(10));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A number with `decimals` decimals, 0 to 6.
pub(super) fn put(out: &mut Vec<u8>, value: f64, decimals: u32) {
    const MANTISSA: u32 = 52;
    let bits = value.to_bits();
    let exponent =
        u32::from((bits >> MANTISSA).to_le_bytes()[0]) | u32::from((bits >> 60).to_le_bytes()[0] & 7) << 8;
    // Below 2^63 and with a whole part that has bits behind the point.
    let shift = (1023 + MANTISSA).saturating_sub(exponent);
    if !(1..=1023 + MANTISSA).contains(&shift) || decimals > 6 {
        // A Vec takes everything.
        drop(write!(out, "{value:.*}", decimals as usize));
        return;
    }
    let implicit = u64::from(exponent > 0) << MANTISSA;
    let mantissa = (bits & ((1 << MANTISSA) - 1)) | implicit;
    let scale = 10_u64.pow(decimals);
    let scaled = u128::from(mantissa) * u128::from(scale);
    // Shifted by 100 or more, less than a half is left of 75 bits.
    let rounded = if shift >= 100 {
        0
    } else {
        let (whole, rest, half) = (scaled >> shift, scaled & ((1 << shift) - 1), 1_u128 << (shift - 1));
        whole + u128::from(rest > half || (rest == half && whole & 1 == 1))
    };
    // Less than 2^52 before the scale, so this is below 2^72; the digits before the point are below 2^53.
    let (whole, part) = (rounded / u128::from(scale), rounded % u128::from(scale));
    if value.is_sign_negative() {
        out.push(b'-');
    }
    put_whole(out, u64::try_from(whole).unwrap_or(u64::MAX));
    if decimals > 0 {
        out.push(b'.');
        let mut part = u64::try_from(part).unwrap_or(0);
        let mut digits = [b'0'; 6];
        for digit in digits[..decimals as usize].iter_mut().rev() {
            *digit = b'0' + u8::try_from(part % 10).unwrap_or(0);
            part /= 10;
        }
        out.extend_from_slice(&digits[..decimals as usize]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours(value: f64, decimals: u32) -> String {
        let mut out = Vec::new();
        put(&mut out, value, decimals);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ties_borders_and_what_is_no_number() {
        for value in [
            0.0,
            -0.0,
            0.5,
            1.5,
            2.5,
            0.125,
            0.375,
            -0.000_000_5,
            0.000_000_499_999,
            0.99995,
            9.999_999_5,
            1e-300,
            f64::MIN_POSITIVE / 8.0,
            4_503_599_627_370_495.5,
            4_503_599_627_370_496.0,
            1e15,
            1e22,
            1e300,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            1.0 / 128.0,
            3.0 / 128.0,
            5.0 / 2048.0,
        ] {
            for decimals in 0..=6 {
                assert_eq!(ours(value, decimals), format!("{value:.*}", decimals as usize), "{value:e}");
            }
        }
    }

    proptest! {
        #[test]
        fn as_the_standard_library(bits: u64, near in -1e7..1e7_f64, eighths: i32, decimals in 0_u32..=6) {
            for value in [f64::from_bits(bits), near, f64::from(eighths) / 1024.0, 10_f64.powf(near / 1e6)] {
                prop_assert_eq!(ours(value, decimals), format!("{value:.*}", decimals as usize));
            }
        }

        #[test]
        fn whole_numbers(number: u64, shift in 0_u32..64) {
            let mut out = Vec::new();
            put_whole(&mut out, number >> shift);
            prop_assert_eq!(String::from_utf8(out).unwrap(), (number >> shift).to_string());
        }
    }
}
