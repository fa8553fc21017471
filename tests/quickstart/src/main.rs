//! `cargo quickstart`.

fn main() {}
