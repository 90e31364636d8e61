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
