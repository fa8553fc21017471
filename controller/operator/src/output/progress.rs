//! Progress of exports on standard error: a bar on a terminal, nothing elsewhere.

use std::{collections::BTreeMap, io::IsTerminal as _};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    directory_sync::{Report, report::Phase},
    world::Key,
};

/// One bar a sync that is exporting.
#[derive(Debug, Default)]
pub struct Progress {
    bars: MultiProgress,
    running: BTreeMap<Key, ProgressBar>,
}

impl Progress {
    /// Draws what the reports say.
    pub fn show(&mut self, reports: &BTreeMap<Key, Report>) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        for (key, report) in reports {
            let (done, total) = report.progress;
            if report.phase == Phase::Exporting {
                let bars = &self.bars;
                let bar = self
                    .running
                    .entry(key.clone())
                    .or_insert_with(|| bars.add(new_bar(key)));
                bar.set_length(u64::try_from(total).unwrap_or(u64::MAX));
                bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
            } else if let Some(bar) = self.running.remove(key) {
                bar.finish_and_clear();
            }
        }
    }

    /// Prints a line above the bars.
    pub fn say(&self, line: &str) {
        // Without a terminal there is nowhere else to complain to.
        let _ = self.bars.println(line);
        if !std::io::stderr().is_terminal() {
            eprintln!("{line}");
        }
    }
}

fn new_bar(key: &Key) -> ProgressBar {
    let template = "{prefix} [{bar:40}] {pos}/{len} {per_sec} {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0)
        .with_style(style)
        .with_prefix(key.to_string())
}
