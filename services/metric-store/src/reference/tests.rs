//! Whole stores over a directory of the reference.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{Window, bin, json};
use crate::store::{Cleanup, Format, Options, Reference, Store};
use crate::testing::{NOW, dump, open, options, write};

mod faults;

/// A store of that name beside the directory `checkpoints`.
fn beside(root: &Path, name: &str, format: Format) -> Options {
    let mut options = options(root);
    options.directory = root.join(name);
    options.reference =
        Some(Reference { directory: root.join("checkpoints"), format, cleanup: Cleanup::Delete });
    options
}

fn reopen(store: std::sync::Arc<Store>, options: &Options) -> std::sync::Arc<Store> {
    drop(store);
    open(options.clone())
}

fn host_directory(root: &Path) -> PathBuf {
    let path = root.join("checkpoints/c/h");
    fs::create_dir_all(&path).unwrap();
    path
}

/// A file as the reference writes it: `load` of the host, every minute.
fn foreign(path: &Path, window: Window, start: i64, values: &[f64]) {
    let mut writer = bin::Writer::new(Vec::new(), window);
    writer.metrics(1);
    writer.metric("load", 60, start, values);
    writer.children(0);
    let signed = writer.finish(0);
    fs::write(path.join(format!("{}.bin", window.from)), &signed[..signed.len() - bin::TRAILER_BYTES])
        .unwrap();
}

/// One record of the reference's log: `load` of the host.
fn record(time: i64, value: f32) -> Vec<u8> {
    let payload =
        [&time.to_le_bytes()[..], &4_u16.to_le_bytes(), b"load", &[0], &value.to_le_bytes()].concat();
    let checksum = crate::wire::crc([&payload, &[]]);
    let length = u32::try_from(payload.len()).unwrap();
    [&0xCC1D_A7A1_u32.to_le_bytes()[..], &length.to_le_bytes(), &payload, &checksum.to_le_bytes()].concat()
}

/// A log of these records.
fn log(records: &[(i64, f32)]) -> Vec<u8> {
    let records = records.iter().flat_map(|&(time, value)| record(time, value));
    0xCC1D_A701_u32.to_le_bytes().into_iter().chain(records).collect()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_we_leave_for_the_reference_comes_back_equal() {
    for format in [Format::Bin, Format::Json] {
        let root = tempfile::tempdir().unwrap();
        let ours = beside(root.path(), "a.ccx", format);
        let store = open(ours.clone());
        let mut lines = String::new();
        for step in 0..400_i32 {
            let time = NOW - 30_000 + i64::from(step) * 60;
            for (number, tags) in [
                "",
                ",type=socket,type-id=1",
                ",type=socket,type-id=1,stype=dev,stype-id=eth0",
                ",type=hwthread,type-id=12",
            ]
            .into_iter()
            .enumerate()
            {
                if (step + i32::try_from(number).unwrap()) % 7 != 0 {
                    writeln!(lines, "load,host=h{tags} value={} {}", f64::from(step) / 10.0, time + 7)
                        .unwrap();
                    writeln!(lines, "flops,host=h{tags} value={} {time}", f64::from(step).sin() * 1e9)
                        .unwrap();
                }
            }
        }
        writeln!(lines, "tick,host=other value=61440000000 {NOW}").unwrap();
        write(&store, &lines).unwrap();
        let before = dump(&store);
        let exported = store.export_all();
        assert_eq!((exported.files, exported.failures), (2, 0));
        assert_eq!(store.export_all().files, 0, "nothing new");
        // Another store, as after the loss of ours.
        let other = open(beside(root.path(), "b.ccx", format));
        assert_eq!(dump(&other), before, "{format:?}");
        // Ours does not read its own.
        let store = reopen(store, &ours);
        assert!(store.shards().iter().all(|shard| !shard.imported().wants_checkpoint()));
        assert_eq!(dump(&store), before);
    }
}

#[test]
fn windows_follow_each_other() {
    let root = tempfile::tempdir().unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Bin);
    let path = host_directory(root.path());
    foreign(&path, Window { from: NOW - 600, to: NOW - 300 }, NOW - 600, &[1.0, 2.0, 3.0, 4.0, 5.0]);
    let store = open(ours.clone());
    write(&store, format!("load,host=h value=6 {}\nload,host=h value=7 {NOW}\n", NOW - 240)).unwrap();
    assert_eq!(store.export_all().files, 1);
    assert_eq!(names(&path), [format!("{}.bin", NOW - 600), format!("{}.bin", NOW - 300)]);
    let mut found = Vec::new();
    let bytes = fs::read(path.join(format!("{}.bin", NOW - 300))).unwrap();
    let window =
        bin::read(&bytes, &mut |series, values| found.push((series.start - NOW, format!("{values:?}"))))
            .unwrap();
    assert_eq!(window, Window { from: NOW - 300, to: NOW + 1 });
    assert_eq!(found, [(-240, "[6.0, NaN, NaN, NaN, 7.0]".to_owned())]);
    assert_eq!(reopen(store, &ours).export_all().files, 0, "also after a restart");
}

#[test]
fn the_newer_writer_wins() {
    let root = tempfile::tempdir().unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Bin);
    let store = open(ours.clone());
    write(&store, format!("load,host=h value=1 {}\nload,host=h value=2 {}\n", NOW - 600, NOW - 540)).unwrap();
    drop(store);
    let path = host_directory(root.path());
    // Written before our last sample: fills gaps only. Then one written after it.
    foreign(&path, Window { from: NOW - 660, to: NOW - 570 }, NOW - 660, &[10.0, 11.0]);
    foreign(&path, Window { from: NOW - 560, to: NOW - 400 }, NOW - 540, &[12.0, f64::NAN, 14.0]);
    let store = open(ours.clone());
    assert_eq!(dump(&store), "c/h// load -660=10.0 -600=1.0 -540=12.0 -420=14.0");
    store.keep_imported();
    // Freed stays freed: the files are not read again.
    store.free(&[vec!["c".to_owned(), "h".to_owned()]], NOW + 3600).unwrap();
    let store = reopen(store, &ours);
    assert_eq!(dump(&store), "");
    // Unless one is written anew.
    foreign(&path, Window { from: NOW - 560, to: NOW - 300 }, NOW - 540, &[20.0]);
    assert_eq!(dump(&reopen(store, &ours)), "c/h// load -540=20.0");
}

/// A snapshot that begins between two samples says only within half an interval when its first one was; the log says it exactly.
#[test]
fn the_log_says_where_the_slots_lie() {
    let root = tempfile::tempdir().unwrap();
    let path = host_directory(root.path());
    foreign(&path, Window { from: NOW - 300, to: NOW - 226 }, NOW - 293, &[3.5]);
    foreign(&path, Window { from: NOW - 226, to: NOW - 200 }, NOW - 226, &[3.0]);
    fs::write(path.join("current.wal"), log(&[(NOW - 198, 25.5), (NOW - 138, 40.5)])).unwrap();
    let store = open(beside(root.path(), "a.ccx", Format::Bin));
    assert_eq!(dump(&store), "c/h// load -318=3.5 -198=25.5 -138=40.5");
}

#[test]
fn damaged_files_are_set_aside_and_the_rest_is_read() {
    let root = tempfile::tempdir().unwrap();
    let path = host_directory(root.path());
    foreign(&path, Window { from: NOW - 600, to: NOW - 300 }, NOW - 600, &[1.0]);
    foreign(&path, Window { from: NOW - 300, to: NOW }, NOW - 300, &[2.0]);
    let damaged = path.join(format!("{}.bin", NOW - 300));
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() - 3]).unwrap();
    fs::write(path.join("150.json"), "{").unwrap();
    fs::write(path.join("abc.bin"), "x").unwrap();
    fs::write(path.join(format!(".1.bin.0{}", ".cc-tmp")), "x").unwrap();
    let log = log(&[(NOW - 60, 1.1), (NOW, 2.5)]);
    fs::write(path.join("current.wal"), &log[..log.len() - 1]).unwrap();
    let ours = beside(root.path(), "a.ccx", Format::Json);
    let store = open(ours.clone());
    assert_eq!(dump(&store), "c/h// load -600=1.0 -60=1.1");
    let expected = [
        "150.json.corrupt".to_owned(),
        format!("{}.bin", NOW - 600),
        format!("{}.bin.corrupt", NOW - 300),
        "abc.bin".to_owned(),
        "current.wal".to_owned(),
    ];
    assert_eq!(names(&path), expected);
    // The log goes when a window holds what it held, and our checkpoint too.
    store.keep_imported();
    assert_eq!(store.export_all().files, 1);
    assert!(!names(&path).contains(&"current.wal".to_owned()));
    let (store_id, window) = {
        let text = fs::read(path.join(format!("{}.json", NOW - 300))).unwrap();
        json::signature(&text).unwrap()
    };
    assert_ne!(store_id, 0);
    assert_eq!(window, Window { from: NOW - 300, to: NOW + 1 });
    assert_eq!(dump(&reopen(store, &ours)), "c/h// load -600=1.0 -60=1.1");
}

#[test]
fn windows_older_than_the_retention_are_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let path = host_directory(root.path());
    let old = NOW - 50 * 3600;
    foreign(&path, Window { from: old - 60, to: old }, old - 60, &[1.0]);
    let reaching_in = NOW - 48 * 3600;
    foreign(&path, Window { from: old, to: NOW }, reaching_in - 60, &[1.0, 2.0, 3.0]);
    let store = open(beside(root.path(), "a.ccx", Format::Bin));
    assert_eq!(dump(&store), format!("c/h// load {}=2.0 {}=3.0", -48 * 3600, -48 * 3600 + 60));
}

#[test]
fn another_interval_in_a_file_lands_on_the_configured_grid() {
    let root = tempfile::tempdir().unwrap();
    let path = host_directory(root.path());
    let mut writer = bin::Writer::new(Vec::new(), Window { from: NOW - 600, to: NOW });
    writer.metrics(1);
    writer.metric("load", 30, NOW - 600, &[1.0, 1.5, 2.0, 2.5, 3.0]);
    writer.children(1);
    // what older senders made of the node
    writer.child("0");
    writer.metrics(1);
    writer.metric("odd", 120, NOW - 600, &[7.0, 8.0]);
    writer.children(0);
    fs::write(path.join("1.bin"), writer.finish(9)).unwrap();
    let store = open(beside(root.path(), "a.ccx", Format::Bin));
    assert_eq!(dump(&store), "c/h// load -600=1.0 -540=2.0 -480=3.0\nc/h// odd -600=7.0 -480=8.0");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_file_keeps_the_store_down(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        flips in proptest::collection::vec(any::<(usize, u8)>(), 0..4),
        cut in any::<Option<usize>>(),
        kind in 0..3,
        real in any::<bool>(),
    ) {
        let root = tempfile::tempdir().unwrap();
        let path = host_directory(root.path());
        foreign(&path, Window { from: NOW - 600, to: NOW - 300 }, NOW - 600, &[1.0]);
        let log = log(&[(NOW - 60, 1.0), (NOW, 2.0)]);
        let (name, good) = match kind {
            0 => (format!("{}.bin", NOW - 300), fs::read(path.join(format!("{}.bin", NOW - 600))).unwrap()),
            1 => (format!("{}.json", NOW - 300),
                  br#"{"metrics":{"load":{"frequency":60,"start":1,"data":[1,null]}},"children":{},"from":1,"to":2}"#.to_vec()),
            _ => ("current.wal".to_owned(), log),
        };
        let mut content = if real { good } else { bytes };
        for (at, bits) in flips {
            let length = content.len().max(1);
            if let Some(byte) = content.get_mut(at % length) {
                *byte ^= bits;
            }
        }
        content.truncate(cut.map_or(usize::MAX, |cut| cut % (content.len() + 1)));
        fs::write(path.join(name), content).unwrap();
        let store = open(beside(root.path(), "a.ccx", Format::Bin));
        prop_assert!(store.is_loaded());
        prop_assert!(dump(&store).contains("-600="));
        store.export_all();
    }
}
