//! Writes the generated files: `crds/plumbline.dev_<plural>.yaml` and `docs/reference/<kind>.md`.
//!
//! Run as `just crds`, that is `cargo run -p plumbline-crds --example generate`. The tests compare the same text.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in plumbline_crds::yaml()? {
        std::fs::write(crate_folder.join(name), text)?;
    }
    let reference = crate_folder.join("../docs/reference");
    std::fs::create_dir_all(&reference)?;
    for (name, text) in plumbline_crds::explain::pages() {
        std::fs::write(reference.join(name), text)?;
    }
    Ok(())
}
