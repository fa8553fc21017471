//! F1 and F6 of the design: a complete cycle against a real OpenLDAP beside `ldapsearch`, and the writes that a quota permits.
//!
//! `cargo bench -p plumbline --bench figures`, with `BENCH_SCALE` (1 is the figure's own size). Prints a row for each figure, its fields
//! between tabs: what was measured, the value, what is to be reached, whether it was. `just bench` makes a table of them.
//! Exits with 1 if a figure is missed, with 3 if a smaller size was run.

mod complete_cycle;
mod export;
mod slapd;

use std::process::ExitCode;

use anyhow::Result;

/// What one figure came to.
struct Row {
    figure: &'static str,
    what: String,
    value: String,
    to_reach: String,
    reached: Option<bool>,
}

impl Row {
    fn print(&self) {
        let verdict = match self.reached {
            None => "",
            Some(true) => "reached",
            Some(false) => "missed",
        };
        println!(
            "row\t{}\t{}\t{}\t{}\t{verdict}",
            self.figure, self.what, self.value, self.to_reach
        );
    }
}

/// The part of a figure's size that is run.
fn scale() -> Result<f64> {
    let text = std::env::var("BENCH_SCALE").unwrap_or_else(|_| "1".to_owned());
    let scale: f64 = text.parse()?;
    anyhow::ensure!(
        scale > 0.0 && scale <= 1.0,
        "BENCH_SCALE is above 0 and at most 1"
    );
    Ok(scale)
}

/// So many of what the figure says.
fn scaled(count: u32, scale: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the count"
    )]
    let scaled = (f64::from(count) * scale).ceil() as u32;
    scaled.max(1)
}

fn main() -> Result<ExitCode> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let scale = scale()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut rows = runtime.block_on(complete_cycle::run(scale))?;
    rows.push(runtime.block_on(export::run())?);
    rows.iter().for_each(Row::print);
    let missed = rows.iter().any(|row| row.reached == Some(false));
    Ok(ExitCode::from(match (missed, scale < 1.0) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }))
}
