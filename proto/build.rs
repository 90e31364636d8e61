//! Compiles every file below `proto/` with protox (no protoc needed), writes the generated code and the descriptor set to `OUT_DIR`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 6] = [
    "clustercockpit/common/v1/common.proto",
    "clustercockpit/auth/v1/auth.proto",
    "clustercockpit/archive/v1/archive.proto",
    "clustercockpit/metric_store/v1/metric_store.proto",
    "clustercockpit/job_db/v1/job_db.proto",
    "clustercockpit/scheduler/v1/scheduler.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
