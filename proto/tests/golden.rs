//! The contracts as they were: later versions must still read what earlier ones wrote (integrations.md 9.12).
//!
//! `golden/descriptors.bin` is the descriptor set of the last accepted change, `golden/messages.txt` holds messages as earlier releases
//! encoded them. After an addition run the tests with `UPDATE_GOLDEN=1` and commit the files; a change that breaks the wire fails even then.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cc_proto::common::v1 as common;
use cc_proto::scheduler::v1 as scheduler;
use prost::Message;
use prost_types::FileDescriptorSet;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Everything that the wire depends on: `package.Message.field` or `package.Service/Method` -> its description.
fn shape(set: &FileDescriptorSet) -> BTreeMap<String, String> {
    let mut shape = BTreeMap::new();
    for file in &set.file {
        for message in &file.message_type {
            for field in &message.field {
                let key = format!("{}.{}#{}", file.package(), message.name(), field.number());
                // Names do not travel in binary form, but clients are generated from them.
                let text = format!(
                    "{} {:?} {:?} {}",
                    field.name(),
                    field.label(),
                    field.r#type(),
                    field.type_name()
                );
                shape.insert(key, text);
            }
        }
        for word in &file.enum_type {
            for value in &word.value {
                shape.insert(
                    format!("{}.{}={}", file.package(), word.name(), value.number()),
                    value.name().to_owned(),
                );
            }
        }
        for service in &file.service {
            for method in &service.method {
                let streams = (method.client_streaming(), method.server_streaming());
                let text = format!("{} {} {streams:?}", method.input_type(), method.output_type());
                shape.insert(format!("{}.{}/{}", file.package(), service.name(), method.name()), text);
            }
        }
    }
    shape
}

#[test]
fn nothing_that_was_there_is_gone_or_means_something_else() {
    let now = FileDescriptorSet::decode(cc_proto::DESCRIPTOR_SET).unwrap();
    let path = golden("descriptors.bin");
    if !path.try_exists().unwrap() && updating() {
        std::fs::write(&path, cc_proto::DESCRIPTOR_SET).unwrap();
    }
    let before = FileDescriptorSet::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
    let (now, before) = (shape(&now), shape(&before));
    for (key, text) in &before {
        assert_eq!(now.get(key), Some(text), "{key} was {text}");
    }
    if updating() {
        std::fs::write(&path, cc_proto::DESCRIPTOR_SET).unwrap();
    } else {
        let added: Vec<&String> = now.keys().filter(|key| !before.contains_key(*key)).collect();
        assert!(
            added.is_empty(),
            "additions are not in golden/descriptors.bin yet (UPDATE_GOLDEN=1): {added:?}"
        );
    }
}

fn event() -> scheduler::EventBatch {
    let key = scheduler::JobKey { cluster: "fritz".to_owned(), job_id: 123, start_time: 1_700_000_000 };
    let node = scheduler::NodeAllocation {
        hostname: "f0101".to_owned(),
        numbering: scheduler::CoreNumbering::SchedSocketCore.into(),
        sockets: vec![scheduler::SocketCores {
            socket: 1,
            cores: vec![scheduler::IdRange { first: 0, last: 17 }],
        }],
        gpu_indices: vec![scheduler::IdRange { first: 2, last: 3 }],
        memory_mb: 64_000,
        ..Default::default()
    };
    let job = scheduler::JobSpec {
        key: Some(key.clone()),
        user: "alice".to_owned(),
        project: "pa01".to_owned(),
        num_nodes: 1,
        smt: Some(0),
        nodes: vec![node],
        job_script: "#!/bin/bash\n".to_owned(),
        ..Default::default()
    };
    let stopped = scheduler::JobStopped {
        key: Some(key),
        stop_time: 1_700_000_600,
        state: scheduler::JobState::OutOfMemory.into(),
        exit_code: Some(137),
        job: Some(job),
        ..Default::default()
    };
    let event = scheduler::Event {
        seq: 7,
        event_id: vec![1, 2, 3].into(),
        observed_at_ms: 1_700_000_600_123,
        body: Some(scheduler::event::Body::Stopped(stopped)),
    };
    scheduler::EventBatch { cluster: "fritz".to_owned(), epoch: 99, events: vec![event], fencing_token: 0 }
}

fn chunk() -> common::SeriesChunk {
    let header = common::SeriesHeader {
        series: 3,
        metric: "mem_bw".to_owned(),
        scope: common::MetricScope::Socket.into(),
        hostname: "f0101".to_owned(),
        id: Some("1".to_owned()),
        first_time: 1_700_000_040,
        timestep_s: 60,
        points: 2,
        statistics: Some(common::Statistics { avg: 1.5, min: 1.0, max: 2.0 }),
        native_timestep_s: 60,
        ..Default::default()
    };
    common::SeriesChunk { part: Some(common::series_chunk::Part::Header(header)) }
}

#[test]
fn messages_of_earlier_releases_are_read_as_they_were_meant() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let now = format!(
        "scheduler.v1.EventBatch {}\ncommon.v1.SeriesChunk {}\n",
        hex(event().encode_to_vec()),
        hex(chunk().encode_to_vec())
    );
    let path = golden("messages.txt");
    if !path.try_exists().unwrap() && updating() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    for line in committed.lines() {
        let (name, text) = line.split_once(' ').unwrap();
        let bytes: Vec<u8> =
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        match name {
            "scheduler.v1.EventBatch" => {
                assert_eq!(scheduler::EventBatch::decode(bytes.as_slice()).unwrap(), event())
            }
            "common.v1.SeriesChunk" => {
                assert_eq!(common::SeriesChunk::decode(bytes.as_slice()).unwrap(), chunk())
            }
            other => panic!("{other} has no expectation"),
        }
    }
    assert_eq!(committed, now);
}
