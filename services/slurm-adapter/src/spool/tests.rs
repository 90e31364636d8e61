use std::fs;
use std::io::Write as _;

use cc_proto::scheduler::v1::{JobKey, JobRetracted, event::Body};
use tempfile::TempDir;

use super::*;

fn event(job_id: i64) -> Event {
    let key = JobKey { cluster: "a".to_owned(), job_id, start_time: 1 };
    let body = Body::Retracted(JobRetracted { key: Some(key), reason: "x".repeat(50) });
    Event { seq: 0, event_id: job_id.to_le_bytes().to_vec().into(), observed_at_ms: 1, body: Some(body) }
}

fn batch(cluster: &str, ids: std::ops::Range<i64>) -> Vec<(String, Event)> {
    ids.map(|id| (cluster.to_owned(), event(id))).collect()
}

/// Job ids of the waiting events, in order, after a check that the numbers have no gap.
fn waiting(spool: &Spool, cluster: &str) -> Vec<i64> {
    let events = spool.read(cluster, 0, usize::MAX, usize::MAX).unwrap();
    let seqs: Vec<u64> = events.iter().map(|(event, _)| event.seq).collect();
    let first = seqs.first().copied().unwrap_or(1);
    assert_eq!(seqs, (first..first + seqs.len() as u64).collect::<Vec<_>>());
    events.iter().map(|(event, _)| i64::from_le_bytes(event.event_id[..].try_into().unwrap())).collect()
}

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("events.spool")
}

#[test]
fn numbers_and_epoch_survive_and_streams_are_counted_apart() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path()).unwrap();
    let epoch = spool.epoch();
    assert!(epoch > 0 && epoch < 1 << 63);
    let mut events = batch("a", 0..3);
    events.extend(batch("b", 10..12));
    events.extend(batch("a", 3..4));
    spool.append(events).unwrap();
    spool.append(batch("b", 12..13)).unwrap();
    drop(spool);
    let spool = Spool::open(directory.path()).unwrap();
    assert_eq!(spool.epoch(), epoch);
    assert_eq!(spool.clusters(), ["a", "b"]);
    assert_eq!(waiting(&spool, "a"), [0, 1, 2, 3]);
    assert_eq!(waiting(&spool, "b"), [10, 11, 12]);
    assert_eq!(spool.waiting(), 7);
    assert!(spool.has_after("a", 3) && !spool.has_after("a", 4) && !spool.has_after("c", 0));
}

#[test]
fn a_file_cut_at_any_byte_holds_a_prefix_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path()).unwrap();
    let mut ends = vec![(fs::metadata(file(&directory)).unwrap().len(), 0)];
    for group in [0..1, 1..4, 4..5] {
        spool.append(batch("a", group.clone())).unwrap();
        ends.push((fs::metadata(file(&directory)).unwrap().len(), group.end));
    }
    drop(spool);
    let whole = fs::read(file(&directory)).unwrap();
    let header_end = usize::try_from(ends[0].0).unwrap();
    for cut in 0..=whole.len() {
        fs::write(file(&directory), &whole[..cut]).unwrap();
        if cut < header_end {
            // the header is put there by a rename, so it is never torn
            assert!(matches!(Spool::open(directory.path()), Err(Error::Damaged { .. })), "{cut}");
            continue;
        }
        let kept = ends.iter().rev().find(|(end, _)| *end <= cut as u64).unwrap().1;
        let mut spool = Spool::open(directory.path()).unwrap();
        assert_eq!(waiting(&spool, "a"), (0..kept).collect::<Vec<_>>(), "cut at {cut}");
        spool.append(batch("a", 100..102)).unwrap();
        drop(spool);
        let expected: Vec<i64> = (0..kept).chain(100..102).collect();
        assert_eq!(waiting(&Spool::open(directory.path()).unwrap(), "a"), expected, "cut at {cut}");
    }
}

#[test]
fn a_frame_whose_bytes_did_not_reach_the_disk_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path()).unwrap();
    spool.append(batch("a", 0..2)).unwrap();
    let before = fs::metadata(file(&directory)).unwrap().len();
    spool.append(batch("a", 2..4)).unwrap();
    drop(spool);
    let whole = fs::read(file(&directory)).unwrap();
    let begin = usize::try_from(before).unwrap();
    let mut holed = whole.clone();
    holed[begin + 20..].fill(0);
    let mut longer = whole[..begin].to_vec();
    longer.extend(vec![0; 200_000]);
    for bytes in [holed, longer] {
        fs::write(file(&directory), bytes).unwrap();
        assert_eq!(waiting(&Spool::open(directory.path()).unwrap(), "a"), [0, 1]);
        assert_eq!(fs::metadata(file(&directory)).unwrap().len(), before);
    }
}

#[test]
fn damage_in_the_middle_is_told_and_not_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path()).unwrap();
    let before = usize::try_from(fs::metadata(file(&directory)).unwrap().len()).unwrap();
    spool.append(batch("a", 0..1)).unwrap();
    let middle = usize::try_from(fs::metadata(file(&directory)).unwrap().len()).unwrap();
    spool.append(batch("a", 1..2)).unwrap();
    drop(spool);
    let whole = fs::read(file(&directory)).unwrap();
    // a length that reaches over the end looks like a torn frame; every other change of the first frame is seen
    for at in (before..middle).filter(|at| !(before..before + 4).contains(at)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(file(&directory), &bytes).unwrap();
        match Spool::open(directory.path()) {
            Err(Error::Damaged { offset, .. }) => assert_eq!(offset, before as u64),
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(fs::read(file(&directory)).unwrap(), bytes, "the file is left as it is");
    }
}

#[test]
fn what_is_acknowledged_is_gone_after_a_rewrite_and_numbers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path()).unwrap();
    spool.append(batch("a", 0..5)).unwrap();
    spool.acknowledge("a", 3).unwrap();
    assert_eq!(spool.report("a", 4).unwrap().unwrap().seq, 4);
    let before = fs::metadata(file(&directory)).unwrap().len();
    spool.compact().unwrap();
    assert!(fs::metadata(file(&directory)).unwrap().len() < before);
    assert_eq!(spool.report("a", 4).unwrap(), None, "it was told already");
    spool.append(batch("a", 5..6)).unwrap();
    spool.acknowledge("a", 6).unwrap();
    spool.compact().unwrap();
    let epoch = spool.epoch();
    drop(spool);
    let mut spool = Spool::open(directory.path()).unwrap();
    assert_eq!((spool.epoch(), spool.waiting()), (epoch, 0));
    spool.append(batch("a", 6..7)).unwrap();
    assert_eq!(spool.read("a", 0, 10, 1000).unwrap()[0].0.seq, 7);
}

#[test]
fn much_acknowledged_rewrites_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(directory.path()).unwrap();
    let big: Vec<(String, Event)> = batch("a", 0..20)
        .into_iter()
        .map(|(cluster, mut event)| {
            event.body = Some(Body::Retracted(JobRetracted { key: None, reason: "x".repeat(1 << 20) }));
            (cluster, event)
        })
        .collect();
    spool.append(big).unwrap();
    assert!(fs::metadata(file(&directory)).unwrap().len() > 20 << 20);
    spool.acknowledge("a", 19).unwrap();
    assert!(fs::metadata(file(&directory)).unwrap().len() < 2 << 20);
    assert_eq!(spool.read("a", 0, 10, 10).unwrap()[0].0.seq, 20);
}

#[test]
fn a_new_epoch_numbers_from_one() {
    let directory = tempfile::tempdir().unwrap();
    for on_disk in [true, false] {
        let mut spool = if on_disk { Spool::open(directory.path()).unwrap() } else { Spool::in_memory() };
        spool.append([batch("a", 0..4), batch("b", 7..9)].concat()).unwrap();
        spool.acknowledge("a", 2).unwrap();
        let epoch = spool.epoch();
        spool.renew().unwrap();
        assert_ne!(spool.epoch(), epoch);
        assert_eq!(spool.read("a", 0, 1, 1).unwrap()[0].0.seq, 1);
        assert_eq!((waiting(&spool, "a"), waiting(&spool, "b")), (vec![2, 3], vec![7, 8]));
        spool.append(batch("a", 4..5)).unwrap();
        assert_eq!(waiting(&spool, "a"), [2, 3, 4]);
    }
    assert_eq!(waiting(&Spool::open(directory.path()).unwrap(), "a"), [2, 3, 4]);
}

#[test]
fn reading_respects_both_limits_and_gives_at_least_one() {
    let mut spool = Spool::in_memory();
    spool.append(batch("a", 1..11)).unwrap();
    let size = spool.read("a", 0, 1, 0).unwrap()[0].1;
    let count = |after, events, bytes| spool.read("a", after, events, bytes).unwrap().len();
    assert_eq!(count(0, 3, usize::MAX), 3);
    assert_eq!(count(0, 100, size * 4), 4);
    assert_eq!(count(0, 100, 1), 1);
    assert_eq!(count(8, 100, usize::MAX), 2);
    assert_eq!(count(10, 100, usize::MAX), 0);
    assert_eq!(spool.read("other", 0, 1, 1).unwrap().len(), 0);
}

#[test]
fn the_word_of_the_server_fits_or_does_not() {
    let mut spool = Spool::in_memory();
    assert_eq!(
        spool.resume("a", 7),
        Resume::After { unreported: vec![] },
        "nothing is known of this cluster"
    );
    spool.append(batch("a", 0..5)).unwrap();
    spool.report("a", 1).unwrap();
    assert_eq!(spool.resume("a", 0), Resume::After { unreported: vec![] });
    assert_eq!(spool.resume("a", 3), Resume::After { unreported: vec![2, 3] });
    assert_eq!(spool.resume("a", 5), Resume::After { unreported: vec![2, 3, 4, 5] });
    assert_eq!(spool.resume("a", 6), Resume::Misfit, "the server has more than was ever sent from here");
    spool.acknowledge("a", 3).unwrap();
    assert_eq!(spool.resume("a", 3), Resume::After { unreported: vec![] });
    assert_eq!(spool.resume("a", 2), Resume::Misfit, "the server lost what it had acknowledged");
}

#[test]
fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path()).unwrap();
    assert!(matches!(Spool::open(directory.path()), Err(Error::InUse { .. })));
    drop(spool);
    assert!(Spool::open(directory.path()).is_ok());
}

#[test]
fn the_file_is_for_its_owner_only_and_a_foreign_one_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new");
    drop(Spool::open(&path).unwrap());
    assert_eq!(fs::metadata(path.join("events.spool")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    fs::File::create(path.join("events.spool"))
        .unwrap()
        .write_all(b"something else entirely, long enough")
        .unwrap();
    assert!(matches!(Spool::open(&path), Err(Error::Damaged { .. })));
}

#[test]
fn known_ids_are_counted() {
    let mut spool = Spool::in_memory();
    spool.append([batch("a", 0..2), batch("a", 1..2)].concat()).unwrap();
    let count = |id: i64| spool.known_ids().get(&id.to_le_bytes()[..]).copied();
    assert_eq!((count(0), count(1), count(2)), (Some(1), Some(2), None));
}
