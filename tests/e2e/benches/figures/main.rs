//! F1 to F6 of the design in one run, as one table: `just bench`.
//!
//! F2 and F4 come from the engine's bench `delta`, F1 and F6 from the operator's bench `figures`; F3 is measured here, with the real
//! program on real servers. `BENCH_SCALE` (above 0, at most 1; default 1) makes F1, F2 and F4 smaller. Root is needed for Samba.
//! Exits with 1 if a figure is missed, with 3 if a smaller size was run.

mod arrival;

use std::{
    env,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use plumbline_e2e::repository;

/// Figure, what was measured, value, what is to be reached, whether it was.
type Row = [String; 5];

/// Columns between which text is broken, all in all less than 100 characters.
const WIDTHS: [usize; 5] = [2, 38, 28, 18, 7];

fn main() -> Result<ExitCode> {
    let scale: f64 = env::var("BENCH_SCALE").map_or(Ok(1.0), |text| text.parse())?;
    ensure!(
        scale > 0.0 && scale <= 1.0,
        "BENCH_SCALE is above 0 and at most 1"
    );
    let million = format!("{:.0}", 1_000_000.0 * scale);
    let mut rows = bench("plumbline", "figures", &[])?;
    rows.extend(bench("plumbline-engine", "delta", &["10000", &million])?);
    rows.extend(arrival::run()?);
    rows.sort_by(|a, b| a[0].cmp(&b[0]));
    println!("{}", machine()?);
    print(&rows);
    let missed = rows.iter().any(|row| row[4] == "missed");
    Ok(ExitCode::from(match (missed, scale < 1.0) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }))
}

/// Runs a bench of another crate and takes the rows that it prints.
fn bench(package: &str, name: &str, arguments: &[&str]) -> Result<Vec<Row>> {
    let output = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args([
            "bench",
            "--quiet",
            "--locked",
            "--package",
            package,
            "--bench",
            name,
            "--",
        ])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("row\t"));
    let rows: Option<Vec<Row>> = lines
        .map(|line| {
            let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
            fields.try_into().ok()
        })
        .collect();
    let rows = rows.context("a row has five fields")?;
    // A missed figure is no failure of the bench; one without a row is.
    ensure!(
        !rows.is_empty(),
        "the bench {name} of {package} measured nothing: {text}"
    );
    Ok(rows)
}

/// What ran it.
fn machine() -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let model = read("/proc/cpuinfo")?;
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .unwrap_or_default()
        .trim_start_matches([' ', '\t', ':']);
    let memory = read("/proc/meminfo")?;
    let memory: Option<u64> = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok());
    let load = read("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    Ok(format!(
        "{} cores ({model}), {} GiB; load at the end {load}",
        std::thread::available_parallelism()?,
        memory.unwrap_or_default() / 1024 / 1024,
    ))
}

fn print(rows: &[Row]) {
    let head = ["", "what", "measured", "to reach", ""].map(str::to_owned);
    let rule = WIDTHS.map(|width| "-".repeat(width));
    for row in [&head, &rule].into_iter().chain(rows) {
        let mut cells = [0, 1, 2, 3, 4].map(|at| broken(&row[at], WIDTHS[at]).into_iter());
        loop {
            let line = cells.each_mut().map(Iterator::next);
            if line.iter().all(Option::is_none) {
                break;
            }
            let line = line.into_iter().zip(WIDTHS);
            let line: Vec<String> = line
                .map(|(cell, width)| format!("{:width$}", cell.unwrap_or_default()))
                .collect();
            println!("{}", line.join("  ").trim_end());
        }
    }
}

/// Lines of whole words.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
