//! Servers that a script under `tests/` starts in a folder of its own: `SCRIPT up DIR` prints `KEY='value'` facts, `SCRIPT wipe
//! DIR` ends the server and deletes the folder. A server is wiped when its value is dropped and when the test process dies,
//! however it dies.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::repository;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running server.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    facts: BTreeMap<String, String>,
}

impl Server {
    /// Runs `up` of the script at `program` (relative to the repository) with these settings; takes seconds.
    pub fn up(program: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let program = repository().join(program);
        let folder = folder(
            program
                .file_name()
                .map(|name| name.to_string_lossy())
                .as_deref()
                .unwrap_or("server"),
        );
        let environment = environment
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut server = Server {
            program,
            environment,
            folder,
            facts: BTreeMap::new(),
        };
        when_this_process_ends(&[&server.program, Path::new("wipe"), &server.folder])?;
        server.start()?;
        Ok(server)
    }

    /// Starts it again after [`Server::stop`], with the data it had.
    pub fn start(&mut self) -> Result<()> {
        self.facts = facts(&self.run("up", &[])?)?;
        Ok(())
    }

    /// Stops it; the data stays.
    pub fn stop(&self) -> Result<()> {
        self.run("down", &[]).map(drop)
    }

    /// Runs a command of the script on this server and gives what it prints.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Result<String> {
        let environment = self.environment.iter().map(|(key, value)| (key, value));
        output(
            Command::new(&self.program)
                .arg(command)
                .arg(&self.folder)
                .args(arguments)
                .envs(environment),
            None,
        )
    }

    /// A fact that `up` printed.
    pub fn fact(&self, key: &str) -> Result<&str> {
        self.facts
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("{} prints no {key}", self.program.display()))
    }

    /// The folder that holds everything of this server, its logs too.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.run("wipe", &[]) {
            eprintln!("{error:#}");
        }
    }
}

/// A new folder for one server, below the system's temporary one.
pub(crate) fn folder(name: &str) -> PathBuf {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("plumbline-e2e-{}-{count}-{name}", process::id()))
}

/// Runs a command when this process ends, also when it is killed.
pub(crate) fn when_this_process_ends(command: &[&Path]) -> Result<()> {
    Command::new("sh")
        .args([
            "-c",
            r#"tail --pid="$1" -f /dev/null; shift; exec "$@""#,
            "watch",
        ])
        .arg(process::id().to_string())
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C on a terminal goes to the test's process group and must not end this one.
        .process_group(0)
        .spawn()
        .context("cannot start the process that cleans up")?;
    Ok(())
}

/// Runs a command to its end, with `input` on its stdin; a failure carries what it wrote to stderr.
pub(crate) fn output(command: &mut Command, input: Option<&str>) -> Result<String> {
    let file = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let stdin = match input {
        Some(text) => {
            fs::write(file.path(), text).context("cannot write a temporary file")?;
            Stdio::from(fs::File::open(file.path()).context("cannot read a temporary file")?)
        }
        None => Stdio::null(),
    };
    let output = command
        .stdin(stdin)
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{command:?} printed something that is no UTF-8"))
}

/// Reads `KEY='value'` lines, where `'\''` stands for a quote.
fn facts(text: &str) -> Result<BTreeMap<String, String>> {
    text.lines()
        .map(|line| {
            let (key, value) = line
                .split_once('=')
                .with_context(|| format!("`{line}` is no fact"))?;
            let value = value
                .strip_prefix('\'')
                .and_then(|value| value.strip_suffix('\''))
                .unwrap_or(value);
            Ok((key.to_owned(), value.replace(r"'\''", "'")))
        })
        .collect()
}

/// A loopback address on which nobody listens at any of these ports.
pub(crate) fn free_address(ports: &[u16]) -> Result<Ipv4Addr> {
    let seed = process::id();
    for attempt in 0..1000_u32 {
        let count = COUNT.fetch_add(1, Ordering::Relaxed) + attempt;
        let [low, middle, ..] = seed.wrapping_mul(31).wrapping_add(count).to_le_bytes();
        let address = Ipv4Addr::new(127, 64 + middle % 64, low, 10);
        // All are held until all are known to be free.
        let held: Result<Vec<_>, _> = ports
            .iter()
            .map(|port| TcpListener::bind((address, *port)))
            .collect();
        if held.is_ok() {
            return Ok(address);
        }
    }
    bail!("no address in 127.64.0.0/10 has the ports {ports:?} free; ports below 1024 need root")
}

#[cfg(test)]
mod tests {
    use super::facts;

    #[test]
    fn facts_are_unquoted() {
        let read = facts("A='x y'\nB=''\nC='it'\\''s'\n").unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(read, [("A", "x y"), ("B", ""), ("C", "it's")]);
    }
}
