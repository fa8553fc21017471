//! Compares what all releases of a run of tests did with what their Roles let them do, both ways: `rights FOLDER`, where the folder has the
//! audit logs of all API servers of the run. `tests/run` calls it when all tests have passed.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use plumbline_e2e::audit::suite::{accounts, faults};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: rights FOLDER")?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(PathBuf::from(folder))? {
        found.extend(accounts(&entry?.path())?);
    }
    let faults = faults(&found)?;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    println!(
        "{} releases used every right of the chart and none beyond",
        found.len()
    );
    Ok(())
}
