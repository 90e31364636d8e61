//! Batches of lines, good and bad, and what the store holds afterwards.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    clippy::float_cmp,
    reason = "short texts and exact values of tests"
)]

use proptest::prelude::*;

use super::report::Reason;
use super::*;
use crate::Rule;
use crate::testing::{NOW, dump, open, options, write};

fn store() -> (tempfile::TempDir, Arc<Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(options(directory.path()));
    (directory, store)
}

/// Writes `text` with `T` standing for the present, and returns the refused lines by reason.
fn send(store: &Arc<Store>, text: &str) -> (u64, Vec<(Reason, u64)>, Option<String>) {
    let report = write(store, text.replace('T', &NOW.to_string())).unwrap();
    let refused = report.all_refused().map(|(reason, refused)| (reason, refused.lines)).collect();
    (report.samples, refused, report.first_error)
}

#[test]
fn a_bad_line_costs_itself_only() {
    let (_directory, store) = store();
    let (samples, refused, error) = send(
        &store,
        "load,cluster=c,host=h value=1 T\nload,cluster=c broken\nload,cluster=c,host=h load=3 T\nload,cluster=c,host=h value=\"x\ny\" T\n\
         nope what ever\nload,cluster=c,host=../h value=1 T\nload,host=i value=2 T",
    );
    assert_eq!(samples, 2);
    assert_eq!(
        refused,
        [(Reason::Syntax, 1), (Reason::ValueType, 2), (Reason::UnknownMetric, 1), (Reason::BadName, 1)]
    );
    assert_eq!(error.as_deref(), Some("at line 2:22: want '=' after field key \"broken\", found '\\n'"));
    assert_eq!(dump(&store), "c/h// load 0=1.0\nc/i// load 0=2.0");
}

#[test]
fn lines_do_not_inherit_from_each_other() {
    let (_directory, store) = store();
    let (samples, refused, _) = send(
        &store,
        "load,cluster=a,host=h value=1 T\nload,host=h value=2 T\nload,cluster=a value=3 T\nflops,cluster=a,host=h value=4\n",
    );
    assert_eq!((samples, refused), (3, vec![(Reason::BadName, 1)]));
    assert_eq!(dump(&store), "a/h// flops 0=4.0\na/h// load 0=1.0\nc/h// load 0=2.0");
}

#[test]
fn times_outside_the_window_are_counted_not_stored() {
    let (_directory, store) = store();
    let (old, new) = (NOW - 48 * 3600 - 1, NOW + 3601);
    let text = format!(
        "load,host=h value=1 {old}\nload,host=h value=2 {new}\nload,host=h value=3 {}\nload,host=h value=4 {}\n",
        old + 1,
        new - 1
    );
    let (samples, refused, error) = send(&store, &text);
    assert_eq!((samples, refused, error), (2, vec![(Reason::TooOld, 1), (Reason::TooNew, 1)], None));
    let report = write(&store, format!("load,host=h value=2 {new}\n")).unwrap();
    let (_, refused) = report.all_refused().next().unwrap();
    assert_eq!(refused.example, format!("metric load of host h, time {new}"));
}

#[test]
fn the_same_batch_again_takes_the_remembered_way() {
    let (_directory, store) = store();
    let batch = |value: i64, time: i64| {
        let mut text = String::new();
        for host in ["h1", "h2"] {
            for thread in 0..8 {
                let value = value + thread;
                text += &format!(
                    "flops,cluster=c,hostname={host},type=hwthread,type-id={thread} value={value} {time}\n"
                );
            }
            text += &format!(
                "unknown,cluster=c,hostname={host} value=1 {time}\nload,hostname={host} value={value} {time}\n"
            );
        }
        text
    };
    for step in 0..5 {
        let (samples, refused, _) = send(&store, &batch(step * 100, NOW - 600 + step * 60));
        assert_eq!((samples, refused), (18, vec![(Reason::UnknownMetric, 2)]), "batch {step}");
    }
    let host = store.host("c", "h1").unwrap();
    let data = host.data();
    let mut values = [0.0; 5];
    let (grid, lane) = data.lane(3).unwrap();
    grid.read(lane, NOW - 600, &mut values);
    assert_eq!(values, [3.0, 103.0, 203.0, 303.0, 403.0]);
}

#[test]
fn a_line_without_cluster_is_remembered_for_its_default_only() {
    let (_directory, store) = store();
    for (default, value) in [("a", 1), ("b", 2), ("a", 3)] {
        let mut ingest = Ingest::new(&store, default).unwrap();
        ingest
            .push(format!("load,host=h value={value} {NOW}\nflops,host=h value={value} {NOW}\n").as_bytes())
            .unwrap();
        ingest.finish().unwrap();
    }
    assert_eq!(dump(&store), "a/h// flops 0=3.0\na/h// load 0=3.0\nb/h// flops 0=2.0\nb/h// load 0=2.0");
}

#[test]
fn a_changed_registry_voids_what_was_remembered() {
    let (_directory, store) = store();
    let line = "later,host=h value=1 T\nload,host=h value=1 T\n";
    assert_eq!(send(&store, line).1, [(Reason::UnknownMetric, 1)]);
    let rule = Rule { interval: 60, aggregation: cc_model::cluster::Aggregation::Sum };
    store.configure_metrics([("later".to_owned(), rule)]);
    assert_eq!(send(&store, line).1, [(Reason::UnknownMetric, 1)]);
    assert_eq!(dump(&store), "c/h// later 0=1.0\nc/h// load 0=1.0", "samples of a metric that went stay");
}

#[test]
fn a_sender_that_breaks_off_loses_only_its_unfinished_line() {
    let (_directory, store) = store();
    let mut ingest = Ingest::new(&store, "c").unwrap();
    ingest.push(format!("load,host=h value=1 {NOW}\nload,host=h value=2 1").as_bytes()).unwrap();
    assert_eq!(ingest.break_off().unwrap().samples, 1);
    assert_eq!(dump(&store), "c/h// load 0=1.0");
}

#[test]
fn without_metrics_nothing_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(options(directory.path()), crate::testing::clock()).unwrap();
    assert!(matches!(Ingest::new(&store, ""), Err(Error::NotConfigured)));
}

#[test]
fn a_line_without_end_is_refused_and_its_memory_given_back() {
    let (_directory, store) = store();
    let mut ingest = Ingest::new(&store, "c").unwrap();
    for _ in 0..20 {
        ingest.push(&vec![b'x'; 100_000]).unwrap();
    }
    assert!(ingest.rest.capacity() < 2_000_000);
    ingest.push(format!("\nload,host=h value=1 {NOW}\n").as_bytes()).unwrap();
    let report = ingest.finish().unwrap();
    assert_eq!(report.samples, 1);
    assert!(report.first_error.as_deref().unwrap().contains("line is longer than"));
}

#[test]
fn at_the_memory_cap_known_series_go_on_and_new_ones_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.memory_cap = 20_000;
    let store = open(options);
    let all: String =
        (0..500).map(|thread| format!("flops,host=h,type=hwthread,type-id={thread} value=1 T\n")).collect();
    let text = all.replace('T', &NOW.to_string());
    write(&store, &text).unwrap();
    assert!(store.bytes() > 20_000, "the first batch was staged before anything was counted");
    let error = write(&store, format!("flops,host=h value=1 {NOW}\nload,host=new value=1 {NOW}\n{text}"))
        .unwrap_err();
    assert!(matches!(error, Error::MemoryCap { refused: 2 }), "{error}");
    let later = text.replace(&NOW.to_string(), &(NOW + 60).to_string());
    assert_eq!(write(&store, later).unwrap().samples, 500);
}

/// Lines from a small vocabulary of whole and broken pieces.
fn line() -> impl Strategy<Value = String> {
    let metric = prop_oneof![Just("load"), Just("flops"), Just("tick"), Just("unknown"), Just("")];
    let tags = prop_oneof![
        Just(",host=h1"),
        Just(",cluster=c,host=h1"),
        Just(",cluster=d,hostname=h2,type=hwthread,type-id=3"),
        Just(",host=h1,type=socket,type-id=0,stype=device,stype-id=x"),
        Just(",host="),
        Just(",host=a/b"),
        Just(""),
    ];
    let value = prop_oneof![
        Just("value=1.5"),
        Just("value=7i"),
        Just("value=\"a\nb\""),
        Just("value="),
        Just("x=1"),
        Just("value=1,value=2")
    ];
    let time = (0_i64..40).prop_map(|step| match step {
        0 => String::new(),
        1 => "soon".to_owned(),
        2 => "1".to_owned(),
        step => (NOW - step * 20).to_string(),
    });
    let end =
        prop_oneof![8 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\n\n# note\n"), 1 => Just(" extra\n")];
    (metric, tags, value, time, end)
        .prop_map(|(metric, tags, value, time, end)| format!("{metric}{tags} {value} {time}{end}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_a_batch_is_cut_the_result_is_the_same(
        lines in proptest::collection::vec(line(), 0..60),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (_one, whole) = store();
        let (_two, pieces) = store();
        let (_three, single) = store();
        let text = lines.concat();
        let report = write(&whole, &text).unwrap();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let mut ingest = Ingest::new(&pieces, "c").unwrap();
        for pair in cuts.windows(2) {
            ingest.push(&text.as_bytes()[pair[0]..pair[1]]).unwrap();
        }
        prop_assert_eq!(&ingest.finish().unwrap(), &report);
        prop_assert_eq!(dump(&pieces), dump(&whole));
        // Each line as a batch of its own: no line means anything to another.
        for line in &lines {
            write(&single, line).unwrap();
        }
        prop_assert_eq!(dump(&single), dump(&whole));
    }

    #[test]
    fn lines_of_many_hosts_in_turn_are_taken_like_lines_host_by_host(
        lines in proptest::collection::vec((0_u32..40, 0_u32..4, 0_i64..5, 0_u32..60), 1..400),
    ) {
        let (_one, mixed) = store();
        let (_two, single) = store();
        let line = |&(host, thread, minute, kind): &(u32, u32, i64, u32)| {
            let time = NOW - minute * 60;
            match kind {
                0 => format!("load,host=h{host} broken\n"),
                1 => format!("load,host=h{host} value=\"x\" {time}\n"),
                2 => format!("unknown,host=h{host} value=1 {time}\n"),
                3 => "# note\n".to_owned(),
                4 => format!("load,host=h{host} value=1 {}\n", NOW + 5000 + minute),
                5 => format!("load value={kind} {time}\n"),
                _ => format!("flops,cluster=d,hostname=h{host},type=hwthread,type-id={thread} value={kind} {time}\n"),
            }
        };
        let text: String = lines.iter().map(line).collect();
        let report = write(&mixed, &text).unwrap();
        let mut samples = 0;
        let mut first_error = None;
        for (number, taken) in (1..).zip(&lines) {
            let report = write(&single, line(taken)).unwrap();
            samples += report.samples;
            if first_error.is_none() {
                first_error = report.first_error.map(|error| error.replace("line 1", &format!("line {number}")));
            }
        }
        prop_assert_eq!(report.samples, samples);
        prop_assert_eq!(report.first_error, first_error);
        prop_assert_eq!(dump(&mixed), dump(&single));
    }

    #[test]
    fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_directory, store) = store();
        let _report = write(&store, [b"load,host=h value=1\n".as_slice(), &text].concat());
    }
}
