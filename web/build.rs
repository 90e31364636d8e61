//! Tells cargo to embed anew when the built UI changes.

fn main() {
    println!("cargo:rerun-if-changed=dist");
}
