//! The ways of a sample, each measured: text → values, batch → log and memory, values ↔ block, memory → answer.
//!
//! `cargo bench -p cc-metric-store`; the items per second are lines, samples or values.

#![expect(clippy::panic, clippy::format_push_string, reason = "a benchmark that cannot run says so")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cc_metric_store::store::{Options, Pinning};
use cc_metric_store::{Durability, Ingest, RawQuery, Rule, Store, Values, decode, encode, scan};
use cc_model::cluster::Aggregation;
use cc_runtime::clock::Clock;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

const NOW: i64 = 1_700_000_040;
const HOSTS: usize = 20;

/// Metrics of a node: name, hardware threads (0: the node itself), kind of value.
const METRICS: [(&str, u32, u32); 14] = [
    ("cpu_load", 0, 2),
    ("mem_used", 0, 1),
    ("mem_free", 0, 1),
    ("disk_total", 0, 0),
    ("node_power", 0, 3),
    ("ib_recv", 0, 4),
    ("ib_xmit", 0, 4),
    ("flops_any", 72, 4),
    ("core_clock_cap", 72, 0),
    ("instructions", 72, 1),
    ("clock", 72, 3),
    ("irq_rate", 72, 0),
    ("ht_load", 72, 2),
    ("ipc", 72, 4),
];

/// A number that looks random and always is the same.
fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

#[expect(clippy::cast_precision_loss, reason = "any numbers will do")]
fn value(kind: u32, seed: u64, interval: i64) -> String {
    let noise = mix(seed ^ interval.cast_unsigned());
    match kind {
        0 => format!("{}", seed % 5000),
        1 => format!("{}i", (mix(seed) % 15_000_000 + noise % 20_000) * 4096),
        2 => format!("{}.{:02}", noise % 90, noise % 100),
        3 => format!("{}.{}", 20 + noise % 300, noise % 10),
        _ => {
            format!("{}", (mix(seed) % 1_000_000) as f64 * 0.0371 * (0.95 + (noise % 1_000_003) as f64 / 1e7))
        }
    }
}

/// The batch of one host at one interval, as a collector sends it.
fn batch(host: usize, interval: i64) -> String {
    let mut text = String::new();
    let time = NOW + interval * 60;
    for (number, (name, threads, kind)) in METRICS.iter().enumerate() {
        let ids: Vec<Option<u32>> =
            if *threads == 0 { vec![None] } else { (0..*threads).map(Some).collect() };
        for id in ids {
            let seed = (host as u64) << 32 | (number as u64) << 16 | u64::from(id.unwrap_or(0));
            let component =
                id.map_or_else(|| ",type=node".to_owned(), |id| format!(",type=hwthread,type-id={id}"));
            let value = value(*kind, seed, interval);
            text.push_str(&format!(
                "{name},cluster=bench,hostname=n{host:04}{component} value={value} {time}\n"
            ));
        }
    }
    text
}

/// All batches of an interval.
fn interval(number: i64) -> Vec<String> {
    (0..HOSTS).map(|host| batch(host, number)).collect()
}

fn lines(batches: &[String]) -> usize {
    batches.iter().map(|text| text.lines().count()).sum()
}

struct Bench {
    _directory: tempfile::TempDir,
    store: Arc<Store>,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let options = Options {
            directory: directory.path().join("bench.ccx"),
            retention: Duration::ZERO,
            memory_cap: 0,
            checkpoint_interval: Duration::from_hours(12),
            workers: 1,
            durability: Durability::Background,
            pinning: Pinning::None,
            reference: None,
        };
        let now = jiff::Timestamp::from_second(NOW + 10_000_000).unwrap_or_default();
        let store = Store::open(options, Clock::fixed(now)).unwrap_or_else(|error| panic!("{error}"));
        let rules = METRICS.iter().map(|(name, ..)| (*name).to_owned());
        store.configure_metrics(
            rules.map(|name| (name, Rule { interval: 60, aggregation: Aggregation::Sum })),
        );
        Self { _directory: directory, store }
    }

    fn write(&self, batches: &[String]) -> u64 {
        let mut samples = 0;
        for text in batches {
            let taken = Ingest::new(&self.store, "").and_then(|mut ingest| {
                ingest.push(text.as_bytes())?;
                ingest.finish()
            });
            samples += taken.map_or(0, |report| report.samples);
        }
        samples
    }
}

/// Metric, tags and value of each line, without a store.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let text = interval(0).concat();
    bencher
        .counter(ItemsCount::new(text.lines().count()))
        .counter(BytesCount::of_slice(text.as_bytes()))
        .bench(|| scan(divan::black_box(text.as_bytes())));
}

/// Consecutive intervals of all hosts, log on.
#[divan::bench(sample_count = 60, sample_size = 1)]
fn ingest(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.write(&interval(0));
    let next = AtomicI64::new(1);
    bencher
        .with_inputs(|| interval(next.fetch_add(1, Ordering::Relaxed)))
        .input_counter(|batches: &Vec<String>| ItemsCount::new(lines(batches)))
        .bench_refs(|batches| bench.write(batches));
}

/// The lines of each batch in another order each time: nothing can be expected.
#[divan::bench(sample_count = 30, sample_size = 1)]
fn ingest_shuffled(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.write(&interval(0));
    let next = AtomicI64::new(1);
    let shuffled = |text: &String, seed: u64| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_key(|line| mix(seed ^ line.len() as u64 ^ mix(line.as_ptr() as u64)));
        lines.join("\n") + "\n"
    };
    bencher
        .with_inputs(|| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            interval(number).iter().map(|text| shuffled(text, number.cast_unsigned())).collect::<Vec<_>>()
        })
        .input_counter(|batches: &Vec<String>| ItemsCount::new(lines(batches)))
        .bench_refs(|batches| bench.write(batches));
}

/// One line per host and batch: every line is of another host than the one before.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn ingest_hosts_mixed(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.write(&interval(0));
    let next = AtomicI64::new(1);
    bencher
        .with_inputs(|| {
            let batches = interval(next.fetch_add(1, Ordering::Relaxed));
            let all: Vec<Vec<&str>> = batches.iter().map(|text| text.lines().collect()).collect();
            let count = all.first().map_or(0, Vec::len);
            let mut mixed = String::new();
            for line in 0..count {
                for host in &all {
                    mixed.extend(host.get(line).into_iter().flat_map(|line| [*line, "\n"]));
                }
            }
            vec![mixed]
        })
        .input_counter(|batches: &Vec<String>| ItemsCount::new(lines(batches)))
        .bench_refs(|batches| bench.write(batches));
}

/// Kinds of values by the number that [`value`] knows them by.
const KINDS: [u32; 5] = [0, 1, 2, 3, 4];

/// Blocks of one kind of value, as a collector sends them.
fn blocks(kind: u32) -> Vec<Values> {
    let slot = |seed: u64, slot: usize| {
        let text = value(kind, seed, i64::try_from(slot).unwrap_or(0));
        // Rates are kept as single precision.
        let number: f64 = text.trim_end_matches('i').parse().unwrap_or(0.0);
        if kind == 4 { f64::from(number.to_string().parse::<f32>().unwrap_or(0.0)) } else { number }
    };
    (0..64).map(|seed| std::array::from_fn(|number| slot(seed, number))).collect()
}

fn encoded(blocks: &[Values]) -> Vec<Vec<u8>> {
    let encoded = |values: &Values| {
        let mut out = Vec::new();
        encode(values, &mut out);
        out
    };
    blocks.iter().map(encoded).collect()
}

/// Values to blocks.
#[divan::bench(args = KINDS)]
fn block_encode(bencher: Bencher<'_, '_>, kind: u32) {
    let blocks = blocks(kind);
    bencher
        .counter(ItemsCount::new(blocks.as_flattened().len()))
        .bench(|| encoded(divan::black_box(&blocks)));
}

/// Blocks to values.
#[divan::bench(args = KINDS)]
fn block_decode(bencher: Bencher<'_, '_>, kind: u32) {
    let blocks = blocks(kind);
    let encoded = encoded(&blocks);
    let mut values = [0.0; 128];
    bencher.counter(ItemsCount::new(blocks.as_flattened().len())).bench_local(|| {
        for block in divan::black_box(&encoded) {
            divan::black_box(decode(block, &mut values));
        }
        values
    });
}

fn history() -> Bench {
    let bench = Bench::new();
    for number in 0..720 {
        bench.write(&interval(number));
    }
    bench
}

fn ask(bencher: Bencher<'_, '_>, queries: &str, values: usize) {
    let bench = history();
    let to = NOW + 720 * 60;
    let request = format!(r#"{{"cluster":"bench","from":{NOW},"to":{to},{queries}}}"#);
    bencher.counter(ItemsCount::new(values)).bench(|| {
        RawQuery::parse(divan::black_box(request.as_bytes()))
            .map_or(0, |query| query.answer(&bench.store).len())
    });
}

/// One node metric of every host over 12 h.
#[divan::bench(sample_count = 20)]
fn query_node_metric(bencher: Bencher<'_, '_>) {
    ask(bencher, r#""for-all-nodes":["cpu_load"]"#, HOSTS * 720);
}

/// The sum of 72 hardware threads of every host over 12 h.
#[divan::bench(sample_count = 20)]
fn query_thread_sum(bencher: Bencher<'_, '_>) {
    ask(bencher, r#""for-all-nodes":["flops_any"]"#, HOSTS * 72 * 720);
}

/// The same, statistics only.
#[divan::bench(sample_count = 20)]
fn query_statistics(bencher: Bencher<'_, '_>) {
    ask(bencher, r#""with-data":false,"for-all-nodes":["cpu_load","flops_any"]"#, HOSTS * 73 * 720);
}
