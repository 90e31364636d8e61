//! Watches `dist`, so that a UI that is built later is embedded by the next `cargo build`.

fn main() -> std::io::Result<()> {
    // A path that is missing would make cargo build this crate anew each time: watch an empty one.
    std::fs::create_dir_all("dist")?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=dist");
    Ok(())
}
