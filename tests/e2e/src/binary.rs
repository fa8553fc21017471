//! The static program that the image holds, built once a process with the command of the Dockerfile but without
//! optimisation. `PLUMBLINE_BINARY` names one that is built already.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, anyhow, ensure};

use crate::repository;
use crate::script::output;

/// Builds the program when needed and gives its path.
pub fn path() -> Result<&'static PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}

fn build() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PLUMBLINE_BINARY") {
        return Ok(PathBuf::from(path));
    }
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let messages = output(
        Command::new(env!("CARGO"))
            .current_dir(repository())
            .args([
                "build",
                "--locked",
                "--target",
                &target,
                "--package",
                "plumbline",
                "--bin",
                "plumbline",
            ])
            .args(["--message-format", "json"])
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
        None,
    )?;
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back();
    let path = path.ok_or_else(|| anyhow!("cargo built no program named plumbline"))?;
    ensure!(
        path.is_file(),
        "cargo says that {} is the program, and it is not there",
        path.display()
    );
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn the_program_runs_where_there_is_no_other_file() {
        let root = tempfile::tempdir().unwrap();
        std::fs::copy(super::path().unwrap(), root.path().join("plumbline")).unwrap();
        let output = Command::new("chroot")
            .arg(root.path())
            .args(["/plumbline", "--version"])
            .output()
            .unwrap();
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(
            stdout.trim_end(),
            concat!("plumbline ", env!("CARGO_PKG_VERSION")),
            "{stderr}"
        );
    }
}
