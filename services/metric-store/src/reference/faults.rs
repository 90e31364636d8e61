//! Faults of disk, clock and files: nothing that somebody else has only once is lost by them.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use cc_runtime::clock::Clock;
use cc_runtime::health::Readiness;
use cc_runtime::tasks::Tasks;

use super::*;
use crate::disk::{Disk, RealDisk};
use crate::testing::metrics;

/// Opens a store whose clock shows something else.
fn open_at(options: &Options, now: i64) -> Arc<Store> {
    let clock = Clock::fixed(jiff::Timestamp::from_second(now).unwrap());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = Store::open_on(options.clone(), clock, &disk).unwrap();
    store.configure_metrics(metrics());
    store.load().unwrap();
    store
}

#[test]
fn a_file_that_cannot_be_read_is_not_replaced() {
    for format in [Format::Bin, Format::Json] {
        let root = tempfile::tempdir().unwrap();
        let path = host_directory(root.path());
        foreign(&path, Window { from: NOW - 600, to: NOW - 300 }, NOW - 600, &[1.0]);
        let extension = if format == Format::Bin { "bin" } else { "json" };
        let unreadable = path.join(format!("{}.{extension}", NOW - 300));
        // longer than any that is read
        let length = (4 << 30) + 5;
        File::create(&unreadable).unwrap().set_len(length).unwrap();
        let store = open(beside(root.path(), "a.ccx", format));
        write(&store, format!("load,host=h value=2 {}", NOW - 60)).unwrap();
        assert_eq!(store.export_all().files, 1);
        assert_eq!(fs::metadata(&unreadable).unwrap().len(), length);
        let ours = path.join(format!("{}.{extension}", NOW - 299));
        assert!(ours.is_file(), "{:?}", names(&path));
        // With the host's other file it says all.
        fs::remove_file(unreadable).unwrap();
        assert_eq!(dump(&open(beside(root.path(), "b.ccx", format))), "c/h// load -600=1.0 -60=2.0");
    }
}

#[test]
fn what_a_wrong_clock_hid_comes_when_it_is_right() {
    let hour = 3600;
    for wrong in [NOW - 5 * hour, NOW + 100 * hour] {
        let root = tempfile::tempdir().unwrap();
        let path = host_directory(root.path());
        foreign(&path, Window { from: NOW - 600, to: NOW - 300 }, NOW - 600, &[1.0]);
        fs::write(path.join("current.wal"), log(&[(NOW - 240, 2.0), (NOW - 60, 3.0)])).unwrap();
        let json = format!(
            r#"{{"metrics":{{"odd":{{"frequency":60,"start":{0},"data":[4]}}}},"children":{{}},"from":{0},"to":{1}}}"#,
            NOW - 600,
            NOW - 300
        );
        fs::write(path.join(format!("{}.json", NOW - 600)), json).unwrap();
        let ours = beside(root.path(), "a.ccx", Format::Bin);
        let before = names(&path);
        let store = open_at(&ours, wrong);
        assert_eq!(dump(&store), "", "{wrong}");
        write(&store, format!("load,host=h value=9 {wrong}")).unwrap();
        store.keep_imported();
        store.checkpoint_all();
        store.export_all();
        drop(store);
        assert!(before.iter().all(|name| names(&path).contains(name)), "{:?}", names(&path));
        let store = open(ours.clone());
        let dumped = dump(&store);
        for found in [" -600=1.0 -240=2.0 -60=3.0", "odd -600=4.0"] {
            assert!(dumped.contains(found), "{wrong}: {dumped}");
        }
    }
}

#[test]
fn a_window_that_ends_in_the_future_does_not_silence_the_next() {
    let root = tempfile::tempdir().unwrap();
    let path = host_directory(root.path());
    foreign(&path, Window { from: NOW - 600, to: NOW + (1 << 40) }, NOW - 600, &[1.0]);
    let file = File::options().append(true).open(path.join(format!("{}.bin", NOW - 600))).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs((NOW - 300).unsigned_abs())).unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Bin);
    let store = open(ours.clone());
    write(&store, format!("load,host=h value=2 {}", NOW - 240)).unwrap();
    store.keep_imported();
    drop(store);
    // also if the file is known, and later
    let store = open_at(&ours, NOW + 600);
    assert_eq!(store.export_all().files, 1);
    assert_eq!(names(&path), [format!("{}.bin", NOW - 600), format!("{}.bin", NOW - 300)]);
}

/// The reference goes on behind a tear, and does not find that again itself.
#[test]
fn records_behind_a_tear_count_and_the_log_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let path = host_directory(root.path());
    let mut torn = log(&[(NOW - 240, 1.0), (NOW - 180, 2.0)]);
    torn.truncate(torn.len() - 7);
    torn.extend([record(NOW - 120, 3.0), record(NOW - 60, 4.0)].concat());
    fs::write(path.join("current.wal"), &torn).unwrap();
    fs::write(path.join("current.wal.corrupt"), "another").unwrap();
    let store = open(beside(root.path(), "a.ccx", Format::Bin));
    assert_eq!(dump(&store), "c/h// load -240=1.0 -120=3.0 -60=4.0");
    store.keep_imported();
    assert_eq!(store.export_all().files, 1);
    let expected = ["current.wal.corrupt".to_owned(), "current.wal.corrupt1".to_owned()];
    assert_eq!(names(&path)[1..], expected);
    assert_eq!(fs::read(path.join("current.wal.corrupt")).unwrap(), b"another");
    assert_eq!(fs::read(path.join("current.wal.corrupt1")).unwrap(), torn);
}

/// The first clean-up comes late: whoever sees that the clock is wrong has time to stop it.
#[tokio::test(start_paused = true)]
async fn nothing_is_cleaned_up_right_after_the_start() {
    let root = tempfile::tempdir().unwrap();
    let path = host_directory(root.path());
    let old = NOW - 50 * 3600;
    foreign(&path, Window { from: old - 60, to: old }, old - 60, &[1.0]);
    let mut ours = beside(root.path(), "a.ccx", Format::Bin);
    ours.retention = Duration::from_mins(20);
    let store = open(ours);
    crate::store::start(&store, &Tasks::new(), &Readiness::new());
    tokio::time::sleep(Duration::from_mins(4)).await;
    assert_eq!(names(&path).len(), 1);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(names(&path).len(), 0);
}

#[test]
fn a_host_that_cannot_be_written_does_not_hold_up_the_others() {
    let root = tempfile::tempdir().unwrap();
    let store = open(beside(root.path(), "a.ccx", Format::Bin));
    let hosts = ["a", "b", "c", "d"];
    for host in hosts {
        write(&store, format!("load,host={host} value=2 {}", NOW - 600)).unwrap();
    }
    let cluster = root.path().join("checkpoints/c");
    fs::create_dir_all(&cluster).unwrap();
    for blocked in ["a", "c"] {
        fs::write(cluster.join(blocked), "").unwrap();
    }
    let due = || store.export_due(NOW - 86_400, Duration::from_hours(12));
    let first = due();
    assert_eq!((first.files, first.failures), (2, 2));
    let second = due();
    assert_eq!((second.files, second.failures), (0, 0), "those that failed wait");
    for host in ["b", "d"] {
        assert_eq!(names(&cluster.join(host)).len(), 1);
    }
    for blocked in ["a", "c"] {
        fs::remove_file(cluster.join(blocked)).unwrap();
    }
    assert_eq!(store.export_all().files, 2);
}

/// The last windows are written at the end of the process, maybe beside those that were due a moment before.
#[test]
fn windows_written_at_once_do_not_overlap() {
    let root = tempfile::tempdir().unwrap();
    let mut ours = beside(root.path(), "a.ccx", Format::Bin);
    ours.workers = 4;
    let store = open(ours);
    let hosts: Vec<String> = (0..60).map(|number| format!("h{number}")).collect();
    for host in &hosts {
        let lines: Vec<String> =
            (0..200).map(|step| format!("load,host={host} value={step} {}", NOW - step * 60)).collect();
        write(&store, lines.join("\n")).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| store.export_due(NOW - 86_400, Duration::from_hours(12)));
            scope.spawn(|| store.export_all());
        }
    });
    for host in &hosts {
        let path = root.path().join("checkpoints/c").join(host);
        let mut windows: Vec<Window> = names(&path)
            .iter()
            .map(|name| bin::window(&fs::read(path.join(name)).unwrap()).unwrap())
            .collect();
        windows.sort_by_key(|window| window.from);
        assert_eq!(windows.last().unwrap().to, NOW + 1);
        assert!(windows.is_sorted_by(|a, b| a.to <= b.from), "{host}: {windows:?}");
    }
}

/// At its start the reference passes over the last file if it began before the retention.
#[test]
fn windows_are_no_longer_than_an_interval() {
    let hour = 3600;
    let root = tempfile::tempdir().unwrap();
    let mut ours = beside(root.path(), "a.ccx", Format::Bin);
    ours.retention = Duration::ZERO;
    let store = open(ours.clone());
    let mut lines = String::new();
    for time in [1, 20 * hour, 40 * hour, NOW - 30 * hour, NOW - 29 * hour, NOW - 60] {
        writeln!(lines, "load,host=h value=2 {time}\ntick,host=h value=3 {time}").unwrap();
    }
    for step in 0..40 {
        writeln!(lines, "odd,host=h value={step} {}", NOW - step * hour).unwrap();
    }
    write(&store, &lines).unwrap();
    let before = dump(&store);
    assert_eq!(store.export_all().failures, 0);
    let path = host_directory(root.path());
    let mut windows: Vec<Window> =
        names(&path).iter().map(|name| bin::window(&fs::read(path.join(name)).unwrap()).unwrap()).collect();
    windows.sort_by_key(|window| window.from);
    assert!(windows.iter().all(|window| window.to - window.from <= 12 * hour), "{windows:?}");
    assert!(windows.is_sorted_by(|a, b| a.to <= b.from), "{windows:?}");
    assert_eq!(windows.len(), 7, "{windows:?}");
    ours.directory = root.path().join("b.ccx");
    assert_eq!(dump(&open(ours)), before);
}

/// The windows beside it, and files that were read before, hold what a damaged checkpoint of ours held.
#[test]
fn a_damaged_checkpoint_of_ours_is_mended_from_the_windows() {
    let root = tempfile::tempdir().unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Bin);
    let path = host_directory(root.path());
    foreign(&path, Window { from: NOW - 600, to: NOW - 300 }, NOW - 600, &[1.0]);
    let store = open(ours.clone());
    write(&store, format!("load,host=h value=2 {}", NOW - 120)).unwrap();
    store.keep_imported();
    assert_eq!(store.export_all().files, 1);
    store.checkpoint_all();
    write(&store, format!("load,host=h value=3 {NOW}")).unwrap();
    let before = dump(&store);
    assert_eq!(before, "c/h// load -600=1.0 -120=2.0 0=3.0");
    drop(store);
    let shard = crate::shard::shard_of("c", "h");
    let directory = ours.directory.join(format!("shard-{shard:02}"));
    for name in names(&directory).into_iter().filter(|name| name.contains(".ccs")) {
        fs::write(directory.join(name), "damaged").unwrap();
    }
    assert_eq!(dump(&open(ours)), before);
}

/// The registry of the last run may lack a metric that came since, and with it what a log says of it.
#[tokio::test(start_paused = true)]
async fn a_log_waits_for_the_metrics_of_this_process() {
    let root = tempfile::tempdir().unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Bin);
    let file = crate::testing::cluster_file("c");
    let store = Store::open(ours.clone(), crate::testing::clock()).unwrap();
    store.configure([("c", file.replace("\"load\"", "\"other\"").as_bytes())]).unwrap();
    drop(store);
    let path = host_directory(root.path());
    fs::write(path.join("current.wal"), log(&[(NOW - 60, 2.0)])).unwrap();
    let store = Store::open(ours, crate::testing::clock()).unwrap();
    assert!(store.is_configured());
    let tasks = Tasks::new();
    crate::store::start(&store, &tasks, &Readiness::new());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!store.is_loaded());
    store.configure([("c", file.as_bytes())]).unwrap();
    store.wait_loaded(crate::store::Needed::ALL, Duration::from_mins(1)).await.unwrap();
    assert_eq!(dump(&store), "c/h// load -60=2.0");
}

#[test]
fn a_log_of_unknown_metrics_is_looked_at_again() {
    let root = tempfile::tempdir().unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Bin);
    let path = host_directory(root.path());
    fs::write(path.join("current.wal"), log(&[(NOW - 60, 2.0)])).unwrap();
    let store = Store::open(ours.clone(), crate::testing::clock()).unwrap();
    store.configure_metrics(metrics().into_iter().filter(|(name, _)| name != "load"));
    store.load().unwrap();
    write(&store, format!("flops,host=h value=2 {NOW}")).unwrap();
    store.keep_imported();
    assert_eq!(store.export_all().files, 1);
    assert!(names(&path).contains(&"current.wal".to_owned()));
    assert!(dump(&reopen(store, &ours)).contains("load -60=2.0"));
}

/// Files are read again after a crash, unless a checkpoint of ours holds them: what is freed must be in one.
#[test]
fn what_is_freed_stays_freed_after_a_crash() {
    let root = tempfile::tempdir().unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Bin);
    let path = host_directory(root.path());
    foreign(&path, Window { from: NOW - 600, to: NOW - 300 }, NOW - 600, &[1.0]);
    let store = open(ours.clone());
    store.free(&[vec!["c".to_owned()]], NOW + 3600).unwrap();
    assert_eq!(dump(&store), "");
    assert_eq!(dump(&reopen(store, &ours)), "");
}

#[test]
fn selectors_within_others_are_logged_once() {
    let root = tempfile::tempdir().unwrap();
    let store = open(beside(root.path(), "a.ccx", Format::Bin));
    write(&store, format!("load,host=h value=1 {}\nload,host=i value=1 {}", NOW - 60, NOW - 60)).unwrap();
    let logged = || store.shards().iter().map(|shard| shard.log().bytes()).sum::<u64>();
    let select = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let before = logged();
    store.free(&[select(&[])], 5).unwrap();
    let once = logged() - before;
    let many: Vec<Vec<String>> =
        (0..1000).flat_map(|_| [select(&["c", "h"]), select(&[]), select(&["c"])]).collect();
    store.free(&many, 5).unwrap();
    assert!(logged() - before <= 2 * once, "{} after {once}", logged() - before);
}
