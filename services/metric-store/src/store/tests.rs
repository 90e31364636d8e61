//! What must survive: kills at any byte, restarts, full disks, failed syncs, checkpoints beside writers.

#![expect(
    clippy::format_collect,
    clippy::cast_precision_loss,
    reason = "short texts and small numbers of tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::Ingest;
use crate::disk::faulty::FaultyDisk;
use crate::testing::{NOW, clock, dump, metrics, open, open_on, options, write};

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for shard in
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        found.extend(std::fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.sort();
    found
}

fn only_file(directory: &Path, ending: &str) -> PathBuf {
    let mut found = files(directory);
    found.retain(|path| path.to_str().unwrap().ends_with(ending));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_log_cut_anywhere_gives_back_what_was_acknowledged_before() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let mut acknowledged = vec![(0, String::new())];
    {
        let store = open(options.clone());
        for step in 0..6_i64 {
            let time = NOW - 600 + step * 60;
            let third = if step > 2 { format!("tick,host=h value={step} {time}\n") } else { String::new() };
            write(&store, format!("load,host=h value={step}.5 {time}\nflops,host=h,type=core,type-id=1 value=1e-{step} {time}\n{third}")).unwrap();
            let length = std::fs::metadata(only_file(&options.directory, ".ccl")).unwrap().len();
            acknowledged.push((length, dump(&store)));
        }
    }
    let log = only_file(&options.directory, ".ccl");
    let whole = std::fs::read(&log).unwrap();
    for cut in 0..=whole.len() {
        std::fs::write(&log, &whole[..cut]).unwrap();
        let store = open(options.clone());
        let (_, wanted) = acknowledged.iter().rev().find(|(length, _)| *length <= cut as u64).unwrap();
        assert_eq!(&dump(&store), wanted, "cut at {cut}");
        assert!(store.is_loaded());
    }
    // A bit that flipped ends the log there: what was before it stays.
    for bit in (0..whole.len() * 8).step_by(7) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&log, bytes).unwrap();
        let restored = dump(&open(options.clone()));
        assert!(acknowledged.iter().any(|(_, dump)| *dump == restored), "bit {bit}");
    }
}

#[test]
fn a_torn_end_stays_and_the_next_process_writes_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    write(&open(options.clone()), format!("load,host=h value=1 {NOW}\n")).unwrap();
    let log = only_file(&options.directory, ".ccl");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, [&whole[..], b"torn"].concat()).unwrap();
    let store = open(options.clone());
    write(&store, format!("load,host=h value=2 {}\n", NOW + 60)).unwrap();
    drop(store);
    assert_eq!(dump(&open(options)), "c/h// load 0=1.0 60=2.0");
}

/// One step in the life of a store.
#[derive(Clone, Debug)]
enum Step {
    /// Host, metric, offset from the present in seconds, value.
    Write(Vec<(u8, u8, i64, i64)>),
    Checkpoint,
    Restart,
    /// A checkpoint that was begun: the segment is closed, no file appears.
    HalfCheckpoint,
    Clean,
    /// Host, offset of the cut from the present.
    Free(u8, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sample = (0_u8..5, 0_u8..4, -20_000_i64..3_000, -50_000_i64..50_000);
    let step = prop_oneof![
        8 => proptest::collection::vec(sample, 1..40).prop_map(Step::Write),
        1 => Just(Step::Checkpoint),
        2 => Just(Step::Restart),
        1 => Just(Step::HalfCheckpoint),
        1 => Just(Step::Clean),
        1 => (0_u8..5, -10_000_i64..0).prop_map(|(host, offset)| Step::Free(host, offset)),
    ];
    proptest::collection::vec(step, 1..25)
}

fn text(samples: &[(u8, u8, i64, i64)]) -> String {
    let line = |(host, metric, offset, value): &(u8, u8, i64, i64)| {
        let name = ["load", "flops", "odd", "tick"][usize::from(*metric)];
        let component = if host % 2 == 0 { "" } else { ",type=hwthread,type-id=2" };
        format!("{name},host=h{host}{component} value={} {}\n", *value as f64 / 7.0, NOW + offset)
    };
    samples.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn answers_do_not_change_by_restarts_and_checkpoints(steps in steps()) {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // One store lives through everything, the other one only takes the samples.
        let (life, plain) = (options(first.path()), options(second.path()));
        let mut store = open(life.clone());
        let oracle = open(plain);
        for step in steps {
            match step {
                Step::Write(samples) => {
                    write(&store, text(&samples)).unwrap();
                    write(&oracle, text(&samples)).unwrap();
                }
                Step::Checkpoint => store.checkpoint_all(),
                Step::HalfCheckpoint => store.shards().iter().for_each(|shard| { shard.log().close_for_checkpoint(); }),
                Step::Clean => { store.clean(); },
                Step::Free(host, offset) => {
                    let selectors = [vec!["c".to_owned(), format!("h{host}")]];
                    store.free(&selectors, NOW + offset).unwrap();
                    oracle.free(&selectors, NOW + offset).unwrap();
                }
                Step::Restart => {
                    drop(store);
                    store = open(life.clone());
                }
            }
            prop_assert_eq!(dump(&store), dump(&oracle));
        }
    }
}

#[test]
fn a_checkpoint_replaces_the_log_behind_it_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = open(options.clone());
    write(&store, format!("load,host=h value=1 {NOW}\n")).unwrap();
    store.checkpoint_all();
    assert!(only_file(&options.directory, ".ccs").ends_with("checkpoint-0000000001.ccs"));
    assert!(!files(&options.directory).iter().any(|path| path.extension().unwrap() == "ccl"));
    write(&store, format!("load,host=h value=2 {}\n", NOW + 60)).unwrap();
    assert!(only_file(&options.directory, ".ccl").ends_with("log-0000000002.ccl"));
    store.checkpoint_all();
    store.checkpoint_all();
    assert!(only_file(&options.directory, ".ccs").ends_with("checkpoint-0000000002.ccs"));
    let before = dump(&store);
    drop(store);
    assert_eq!(dump(&open(options)), before);
}

#[test]
fn a_checkpoint_of_the_version_before_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = open(options.clone());
    write(&store, format!("load,host=h value=1 {NOW}\nload,host=h value=2.5 {}\n", NOW + 60)).unwrap();
    store.checkpoint_all();
    let before = dump(&store);
    drop(store);
    // Blocks of so few values are the same in both versions.
    let checkpoint = only_file(&options.directory, ".ccs");
    let mut bytes = std::fs::read(&checkpoint).unwrap();
    let shard = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
    let old = segment::header_of(*b"ccxsnap\x01", shard, 1);
    assert_ne!(bytes[..old.len()], old);
    bytes[..old.len()].copy_from_slice(&old);
    std::fs::write(&checkpoint, bytes).unwrap();
    assert_eq!(dump(&open(options)), before);
}

#[test]
fn a_damaged_checkpoint_is_put_aside_and_the_start_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = open(options.clone());
    write(&store, format!("load,host=h value=1 {NOW}\n")).unwrap();
    store.checkpoint_all();
    write(&store, format!("load,host=h value=2 {}\n", NOW + 60)).unwrap();
    drop(store);
    let checkpoint = only_file(&options.directory, ".ccs");
    let whole = std::fs::read(&checkpoint).unwrap();
    for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&checkpoint, &whole[..cut]).unwrap();
        let store = open(options.clone());
        assert_eq!(dump(&store), "c/h// load 60=2.0", "cut at {cut}");
        assert!(store.is_loaded());
        drop(store);
        std::fs::remove_file(only_file(&options.directory, ".corrupt")).unwrap();
    }
    std::fs::write(&checkpoint, &whole).unwrap();
    assert_eq!(dump(&open(options)), "c/h// load 0=1.0 60=2.0");
}

#[test]
fn a_full_disk_refuses_samples_and_loses_none() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let (disk, faults) = FaultyDisk::new(i64::MAX);
    let store = open_on(options.clone(), disk);
    write(&store, format!("load,host=h value=1 {NOW}\n")).unwrap();
    let mut wanted = dump(&store);
    // Room for a part of the record, or of the header of a new segment.
    for room in 0..18 {
        faults.room.store(room, Ordering::SeqCst);
        let error = write(&store, format!("load,host=h value=9 {}\nflops,host=h value=1 {NOW}\n", NOW - 60))
            .unwrap_err();
        assert!(matches!(error, Error::Log { .. }), "room {room}: {error}");
        assert_eq!(dump(&store), wanted, "reads go on");
        if room % 3 == 0 {
            faults.room.store(i64::MAX, Ordering::SeqCst);
            write(&store, format!("load,host=h value={room} {}\n", NOW + 60)).unwrap();
            wanted = format!("c/h// load 0=1.0 60={room}.0");
            assert_eq!(dump(&store), wanted);
        }
    }
    drop(store);
    assert_eq!(dump(&open(options)), wanted);
}

#[test]
fn in_sync_mode_a_failed_sync_is_a_refusal() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.durability = Durability::Sync;
    let (disk, faults) = FaultyDisk::new(i64::MAX);
    let store = open_on(options.clone(), disk);
    write(&store, format!("load,host=h value=1 {NOW}\n")).unwrap();
    faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(write(&store, format!("load,host=h value=2 {NOW}\n")).is_err());
    assert_eq!(dump(&store), "c/h// load 0=1.0");
    faults.sync_fails.store(false, Ordering::SeqCst);
    write(&store, format!("load,host=h value=3 {NOW}\n")).unwrap();
    drop(store);
    assert_eq!(dump(&open(options)), "c/h// load 0=3.0");
}

#[test]
fn a_failed_background_sync_asks_for_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, faults) = FaultyDisk::new(i64::MAX);
    let store = open_on(options(directory.path()), disk);
    write(&store, format!("load,host=h value=1 {NOW}\n")).unwrap();
    faults.sync_fails.store(true, Ordering::SeqCst);
    store.sync_logs();
    let wanting = store.shards().iter().filter(|shard| shard.log().wants_checkpoint()).count();
    assert_eq!(wanting, 1);
    store.checkpoint_all();
    assert_eq!(store.shards().iter().filter(|shard| shard.log().wants_checkpoint()).count(), 0);
}

#[test]
fn samples_are_taken_while_history_loads_and_queries_wait_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = open(options.clone());
    write(&store, format!("load,host=h value=1 {}\nflops,host=h value=1 {}\n", NOW - 120, NOW - 120))
        .unwrap();
    store.checkpoint_all();
    write(&store, format!("load,host=h value=2 {}\n", NOW - 60)).unwrap();
    drop(store);
    let store = Store::open(options.clone(), clock()).unwrap();
    store.configure_metrics(metrics());
    let mut needed = Needed::default();
    needed.add("c", "h");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let wait = |store: &Store| runtime.block_on(store.wait_loaded(needed, Duration::from_secs(3)));
    // another order of series than before, and a new one
    write(
        &store,
        format!("tick,host=h value=7 {NOW}\nload,host=h value=3 {NOW}\nload,host=h value=4 {}\n", NOW - 60),
    )
    .unwrap();
    assert!(matches!(wait(&store), Err(Error::Loading)));
    let early = Ingest::new(&store, "c").unwrap();
    let mut staged = early;
    staged.push(format!("tick,host=h value=8 {}\n", NOW + 10).as_bytes()).unwrap();
    store.load().unwrap();
    // a batch that was read before the history came is committed behind it
    staged.finish().unwrap();
    write(&store, format!("flops,host=h value=5 {NOW}\n")).unwrap();
    wait(&store).unwrap();
    let wanted = "c/h// flops -120=1.0 0=5.0\nc/h// load -120=1.0 -60=4.0 0=3.0\nc/h// tick 0=7.0 10=8.0";
    assert_eq!(dump(&store), wanted);
    drop(store);
    assert_eq!(dump(&open(options)), wanted);
}

#[test]
fn writers_and_checkpoints_at_the_same_time_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = open(options.clone());
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = Arc::clone(&store);
            scope.spawn(move || {
                for step in 0..150_i64 {
                    let time = NOW - 9_000 + step * 60;
                    let lines: String = (0..6)
                        .map(|host| format!("load,host=w{writer}h{host} value={step} {time}\n"))
                        .collect();
                    write(&store, lines).unwrap();
                }
            });
        }
        let store = Arc::clone(&store);
        scope.spawn(move || {
            (0..8).for_each(|_| {
                store.checkpoint_all();
                store.sync_logs();
            });
        });
    });
    let before = dump(&store);
    assert_eq!(before.lines().count(), 24);
    assert!(before.lines().all(|line| line.split(' ').count() == 152), "every sample is there");
    drop(store);
    assert_eq!(dump(&open(options)), before);
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(options(directory.path()));
    let error = Store::open(options(directory.path()), clock()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
}

#[test]
fn retention_keeps_pinned_hosts_and_waits_for_the_first_word() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.retention = Duration::from_hours(4);
    options.pinning = Pinning::Expected;
    let store = open(options.clone());
    let day = |host: &str| -> String {
        (0..1440).map(|step| format!("load,host={host} value=1 {}\n", NOW - 4 * 3600 + step * 10)).collect()
    };
    write(&store, day("busy") + &day("idle")).unwrap();
    let first = |store: &Store, host: &str| {
        store.host("c", host).and_then(|host| host.data().range(0)).map(|range| range.0 - NOW)
    };
    store.clock().advance(jiff::SignedDuration::from_hours(4));
    assert_eq!(store.clean(), Cleaned::default(), "no word yet: twice the retention is kept");
    store.pin(&[Pin { cluster: "c".to_owned(), host: "busy".to_owned(), from: NOW - 4 * 3600 }]).unwrap();
    let cleaned = store.clean();
    assert!(cleaned.expired > 0);
    assert_eq!(first(&store, "busy"), Some(-4 * 3600));
    assert!(first(&store, "idle").unwrap() > -3 * 3600);
    // late samples of the pinned host are still taken
    let late =
        format!("load,host=busy value=2 {}\nload,host=idle value=2 {}\n", NOW - 3 * 3600, NOW - 3 * 3600);
    assert_eq!(write(&store, late).unwrap().samples, 1);
    drop(store);
    // the pins of the last process hold until new ones come
    let store = open(options);
    store.clock().advance(jiff::SignedDuration::from_hours(9));
    store.clean();
    assert_eq!(first(&store, "busy"), Some(-4 * 3600));
    assert_eq!(first(&store, "idle"), None);
    store.pin(&[]).unwrap();
    store.clean();
    assert_eq!(first(&store, "busy"), None);
    assert!(store.host("c", "busy").is_none(), "an empty host is forgotten");
}

#[test]
fn memory_over_its_cap_takes_the_oldest_blocks_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    let store = open(options.clone());
    for step in 0..2400_i64 {
        let time = NOW - 144_000 + step * 60;
        let value = |thread: i64| ((step * 7919 + thread * 104_729) % 9973) as f64 / 7.0;
        let lines: String = (0..20)
            .map(|thread| format!("flops,host=h,type=core,type-id={thread} value={} {time}\n", value(thread)))
            .collect();
        write(&store, lines).unwrap();
    }
    let full = store.bytes();
    drop(store);
    options.memory_cap = full * 2 / 3;
    let store = open(options);
    assert!(!store.takes_new_series());
    let cleaned = store.clean();
    assert!(
        cleaned.pressed > 0 && store.bytes() <= full * 2 / 3,
        "{cleaned:?}, {} of {full} bytes",
        store.bytes()
    );
    let host = store.host("c", "h").unwrap();
    let ranges: BTreeMap<u32, (i64, i64)> =
        (0..20).map(|column| (column, host.data().range(column).unwrap())).collect();
    assert!(ranges.values().all(|(first, last)| *first > NOW - 120_000 && *last == NOW - 60), "{ranges:?}");
    assert!(store.takes_new_series());
}

#[test]
fn the_registry_is_kept_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = Store::open(options.clone(), clock()).unwrap();
    assert!(!store.is_configured());
    let file = crate::testing::cluster_file("fritz");
    let problems =
        store.configure([("fritz", file.as_bytes()), ("broken", b"{\"name\":".as_slice())]).unwrap();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("cluster broken: "), "{problems:?}");
    drop(store);
    let store = Store::open(options.clone(), clock()).unwrap();
    assert!(store.is_configured());
    assert_eq!(store.registry().rule("fritz", "load").map(|rule| rule.interval), Some(60));
    drop(store);
    std::fs::write(options.directory.join("registry.json"), "[{").unwrap();
    let error = Store::open(options, clock()).unwrap_err();
    assert!(error.to_string().contains("registry.json is damaged"), "{error}");
}
