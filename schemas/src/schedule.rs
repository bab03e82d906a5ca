//! The lambda schedule; both halves need it and neither may have its own.

/// lambda_n = lambda_max (lambda_max / lambda_star)^(-n / (steps - 1)) for n = 0 .. steps - 1: geometric, the first
/// exactly lambda_max and the last exactly lambda_star. One step uses lambda_star.
pub fn lambda_schedule(steps: usize, lambda_max: f64, lambda_star: f64) -> Vec<f64> {
    let ratio = lambda_max / lambda_star;
    (0..steps)
        .map(|n| match n {
            n if n + 1 == steps => lambda_star,
            0 => lambda_max,
            n => lambda_max * ratio.powf(-(n as f64) / (steps - 1) as f64),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_step_uses_lambda_star() {
        assert_eq!(lambda_schedule(1, 0.3, 0.05), [0.05]);
    }

    proptest! {
        #[test]
        fn ends_are_exact_and_ratios_are_constant(steps in 2usize..50, max in 0.1f64..1.0, share in 0.01f64..1.0) {
            let star = max * share;
            let lambdas = lambda_schedule(steps, max, star);
            prop_assert_eq!(lambdas[0], max);
            prop_assert_eq!(lambdas[steps - 1], star);
            let ratio = (star / max).powf(1.0 / (steps - 1) as f64);
            for pair in lambdas.windows(2) {
                prop_assert!((pair[1] / pair[0] - ratio).abs() < 1e-12);
            }
        }
    }
}
