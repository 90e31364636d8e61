use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::testing::shared;

const VECTOR: [f64; 20] = [0., 1., 5., 2., 8., 3., 9., 1., 0., 4., 7., 2., 6., 3., 8., 1., 5., 2., 9., 0.];

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn thin(data: &[f64], new: i64) -> Vec<f64> {
    let out = resample(data, 60, new, 1, Algorithm::Lttb).unwrap();
    assert_eq!(out.timestep, new);
    out.data.into_owned()
}

#[test]
fn the_vectors_of_the_specification_hold() {
    assert_eq!(bits(&thin(&VECTOR, 240)), bits(&[0., 9., 0., 2., 0.]));
    assert_eq!(bits(&thin(&VECTOR, 120)), bits(&[0., 5., 8., 3., 0., 7., 3., 8., 2., 0.]));
    assert_eq!(bits(&thin(&VECTOR, 600)), bits(&[0., 0.]));
    assert_eq!(bits(&thin(&VECTOR, 1200)), bits(&[0., 0.]));
    let mut gap = VECTOR;
    gap[9] = f64::NAN;
    assert_eq!(bits(&thin(&gap, 240)), bits(&[0., 9., f64::NAN, 2., 0.]));
}

#[test]
fn three_points_have_no_next_bucket_and_take_the_last_candidate() {
    assert_eq!(bits(&thin(&VECTOR, 360)), bits(&[0., 9., 0.]));
}

/// The recorded answers for one long series: the raw data is the answer whose resolution leaves it alone.
#[test]
fn recorded_answers_are_reproduced() {
    let Some(file) = shared("fixtures/metric-store/query.jsonl") else { return };
    let result = |name: &str| -> (i64, Vec<f64>, i64) {
        let text = std::str::from_utf8(&file).unwrap();
        let line = text
            .lines()
            .find(|line| line.contains(&format!("\"name\": \"query/resolution/{name}\"")))
            .unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        let step = &line["steps"][0];
        let answer = &step["expect"]["json"]["results"][0][0];
        let data = answer["data"].as_array().unwrap();
        (
            step["json"]["queries"][0]["resolution"].as_i64().unwrap(),
            data.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect(),
            answer["resolution"].as_i64().unwrap(),
        )
    };
    let (_, raw, timestep) = result("lttb-huger");
    assert_eq!((raw.len(), timestep), (1200, 60));
    for name in ["lttb-120", "lttb-240", "lttb-600", "lttb-3600", "lttb-huge", "lttb-huger"] {
        let (resolution, want, timestep) = result(name);
        let got = resample(&raw, 60, resolution, 1000, Algorithm::Lttb).unwrap();
        assert_eq!(bits(&got.data), bits(&want), "{name}");
        assert_eq!(got.timestep, timestep, "{name}");
    }
    assert_eq!(
        resample(&raw, 60, 90, 1000, Algorithm::Lttb).unwrap_err().to_string(),
        "new sampling frequency (90) must be a multiple of old frequency (60)"
    );
}

#[test]
fn what_needs_no_thinning_is_borrowed() {
    for (old, new, minimum) in
        [(60, 60, 1), (60, 30, 1), (60, -60, 1), (0, 60, 1), (60, 0, 1), (60, 240, 21), (60, 6000, 1)]
    {
        let out = resample(&VECTOR, old, new, minimum, Algorithm::Lttb).unwrap();
        assert!(matches!(out.data, Cow::Borrowed(_)), "{old} {new} {minimum}");
        assert_eq!(out.timestep, old);
    }
    // a wrong resolution is an error also where there is too little data
    assert!(resample(&VECTOR, 60, 100, 1000, Algorithm::Lttb).is_err());
    assert!(resample(&[], 60, 120, 0, Algorithm::Lttb).unwrap().data.is_empty());
}

#[test]
fn the_other_algorithms_go_by_steps() {
    let data = [1., 3., f64::NAN, 5., f64::NAN, f64::NAN, 9.];
    let run = |algorithm| resample(&data, 10, 20, 0, algorithm).unwrap().data.into_owned();
    assert_eq!(bits(&run(Algorithm::Average)), bits(&[2., 5., f64::NAN]));
    assert_eq!(bits(&run(Algorithm::Simple)), bits(&[1., f64::NAN, f64::NAN]));
    assert_eq!("".parse(), Ok(Algorithm::Lttb));
    assert_eq!("average".parse(), Ok(Algorithm::Average));
    assert!("LTTB".parse::<Algorithm>().is_err());
}

/// The text of the specification, written down as plainly as possible. Returns chosen positions.
fn oracle(d: &[f64], m: usize) -> Vec<usize> {
    let n = d.len();
    let mut out = vec![0];
    if m > 2 {
        let b = float(n - 2) / float(m - 2);
        let mut prev = 0;
        let mut lo = 1;
        let mut mid = floor(b) + 1;
        for i in 0..=m - 3 {
            let mut hi = floor(float(i + 2) * b) + 1;
            if hi >= n - 1 {
                hi = n - 2;
            }
            let members: Vec<usize> = (mid..=hi).collect();
            let ax = members.iter().map(|j| float(*j)).sum::<f64>() / float(members.len());
            let ay = members.iter().map(|j| d[*j]).sum::<f64>() / float(members.len());
            let area = |c: usize| {
                (((float(prev) - float(c)) * (ay - d[prev]) - (float(prev) - ax) * (d[c] - d[prev])) * 0.5)
                    .abs()
            };
            let last_gap = (lo..mid).rfind(|c| area(*c).is_nan());
            let largest = (lo..mid).rev().max_by(|a, b| area(*a).total_cmp(&area(*b)));
            prev = last_gap.or(largest).unwrap();
            out.push(prev);
            lo = mid;
            mid = hi;
        }
    }
    out.push(n - 1);
    out
}

prop_compose! {
    fn series()(values in prop::collection::vec(
        prop_oneof![8 => (-1000i32..1000).prop_map(|n| f64::from(n) / 8.0), 1 => Just(f64::NAN)], 1..400)
    ) -> Vec<f64> {
        values
    }
}

proptest! {
    #[test]
    fn lttb_is_what_the_specification_says(data in series(), step in 2i64..50) {
        let out = resample(&data, 10, 10 * step, 0, Algorithm::Lttb).unwrap();
        let points = data.len() / usize::try_from(step).unwrap();
        if points == 0 {
            prop_assert_eq!(bits(&out.data), bits(&data));
        } else {
            let want: Vec<f64> = oracle(&data, points).into_iter().map(|at| data[at]).collect();
            prop_assert_eq!(bits(&out.data), bits(&want));
            prop_assert_eq!(out.data.len(), points.max(2));
            prop_assert_eq!(out.timestep, 10 * step);
        }
    }

    #[test]
    fn nothing_is_invented(data in series(), step in 2i64..50) {
        for algorithm in [Algorithm::Lttb, Algorithm::Simple] {
            let out = resample(&data, 1, step, 0, algorithm).unwrap();
            let known = bits(&data);
            prop_assert!(bits(&out.data).iter().all(|value| known.contains(value)));
        }
        let (low, high) = data.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let means = resample(&data, 1, step, 0, Algorithm::Average).unwrap();
        prop_assert!(means.data.iter().all(|v| v.is_nan() || (low - 1e-9..=high + 1e-9).contains(v)));
    }

    #[test]
    fn any_interval_is_total(data in series(), old in any::<i64>(), new in any::<i64>(), minimum in 0usize..500) {
        if let Ok(out) = resample(&data, old, new, minimum, Algorithm::Lttb) {
            prop_assert!(out.data.len() <= data.len().max(2));
        }
    }
}
