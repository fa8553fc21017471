//! `cargo quickstart`: an embedded directory with 500 people and a lab tenant on loopback, `examples/quickstart` through the
//! folder host, and a few changes to watch arrive. Nothing to install, nothing leaves the machine.
#![forbid(unsafe_code)]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use jiff::Timestamp;
use plumbline::{
    directory_sync::report::Phase,
    folder_run::FolderRun,
    output::{plan, progress::Progress, resources::resources},
    store::Store,
    telemetry::logs::{self, Format},
    world::Key,
};
use tokio_util::sync::CancellationToken;

mod lab;

use lab::Lab;

/// Shows Plumbline's main job on an embedded directory and a lab tenant.
#[derive(Debug, Parser)]
struct Args {
    /// End after the changes instead of staying up until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// How many people the company has
    #[arg(long, default_value_t = 500)]
    people: usize,
    /// What is logged beside the story: error, warn, info, debug
    #[arg(long, default_value = "error")]
    log_level: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        return Err(anyhow!("another TLS provider was installed before ours"));
    }
    logs::start(Format::Text, &args.log_level)?;
    let started = Instant::now();
    let mut lab = Lab::start(args.people).await?;
    println!(
        "directory  {}  {} people",
        lab.directory.ldaps_url(),
        lab.company.people().len()
    );
    println!("tenant     {}", lab.tenant.graph());
    println!(
        "manifests  {}  (copied from examples/quickstart; edit them while this runs)\n",
        lab.manifests().display()
    );
    lab.define_mark().await?;

    println!("The plan, before anything is written:\n");
    show_plan(&lab).await?;

    println!("\nApplying it:");
    let stop = CancellationToken::new();
    let run = FolderRun::start(
        lab.load()?,
        Some(lab.secrets()),
        Store::new(Some(lab.state())),
        None,
        None,
        stop.clone(),
    );
    let since = Timestamp::now();
    apply(&run).await?;
    println!(
        "\n$ kubectl get plumbline\n{}",
        resources(
            &run.host.worlds().borrow(),
            &run.host.statuses().borrow(),
            since
        )?
    );

    println!(
        "Changes in the directory, and when each has arrived at the tenant (`interval: 2s`):\n"
    );
    change_people(&mut lab).await?;
    println!(
        "\n{} users and {} groups at the tenant; {:.0} s since the start.",
        lab.tenant.users().len(),
        lab.tenant.groups().len(),
        started.elapsed().as_secs_f64()
    );
    if !args.exit {
        println!(
            "Running until Ctrl-C. Try: edit `mode` or the scope in {}.",
            lab.manifests().display()
        );
        let folder = lab.manifests();
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            () = run.host.follow(&folder, "default", |faults| faults.iter().for_each(|fault| eprintln!("error: {fault}"))) => {}
            result = tell(&run) => result?,
        }
    }
    stop.cancel();
    run.finish().await;
    Ok(())
}

/// One cycle in Plan mode.
async fn show_plan(lab: &Lab) -> Result<()> {
    let stop = CancellationToken::new();
    let run = FolderRun::start(
        lab.load()?,
        Some(lab.secrets()),
        Store::new(None),
        Some(plumbline_mode()),
        None,
        stop.clone(),
    );
    for (key, result) in run.first_cycle().await {
        let report =
            result.map_err(|problem| anyhow!("{key}: {}: {}", problem.reason, problem.message))?;
        let planned = report.plan.context("a concluded cycle has a plan")?;
        print!("{}", brief(&plan::text(&key, &planned)));
    }
    stop.cancel();
    run.finish().await;
    Ok(())
}

fn plumbline_mode() -> plumbline::directory_sync::Mode {
    plumbline::directory_sync::Mode::Plan
}

/// The first rows of each table: enough to see what a plan looks like.
fn brief(text: &str) -> String {
    const ROWS: usize = 4;
    let mut lines = Vec::new();
    for block in text.split("\n\n") {
        let rows: Vec<&str> = block.lines().collect();
        let more = rows.iter().find(|row| row.starts_with('…'));
        lines.extend(
            rows.iter()
                .filter(|row| !row.starts_with('…'))
                .take(ROWS)
                .map(|row| (*row).to_owned()),
        );
        if rows.len() > ROWS {
            let shown = rows.iter().filter(|row| !row.starts_with('…')).count();
            let hidden = more
                .and_then(|more| more.split_whitespace().nth(2)?.parse::<usize>().ok())
                .unwrap_or(0)
                + shown
                - ROWS;
            lines.push(format!("… and {hidden} more"));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}

/// Waits until everything is exported, with a bar.
async fn apply(run: &FolderRun) -> Result<()> {
    let mut reports = run.reports();
    let mut progress = Progress::default();
    loop {
        {
            let reports = reports.borrow_and_update();
            progress.show(&reports);
            if let Some((key, problem)) = failure(&reports) {
                return Err(anyhow!("DirectorySync {key}: {problem}"));
            }
            let done = reports
                .values()
                .all(|report| report.phase == Phase::Concluded && report.pending == 0);
            if done && !reports.is_empty() {
                for (key, report) in reports.iter() {
                    let counts: Vec<_> = report
                        .applied
                        .iter()
                        .map(|(kind, count)| format!("{count} {}", kind.as_str()))
                        .collect();
                    println!("{key}: {}", counts.join(", "));
                }
                break;
            }
        }
        reports.changed().await?;
    }
    // The statuses follow the reports within one pass of the runtime.
    let mut statuses = run.host.statuses();
    statuses
        .wait_for(|statuses| {
            let ready = statuses.values().filter(|status| {
                status
                    .pointer("/conditions/0/status")
                    .is_some_and(|status| status == "True")
            });
            ready.count() >= 4
        })
        .await?;
    Ok(())
}

fn failure(
    reports: &std::collections::BTreeMap<Key, plumbline::directory_sync::Report>,
) -> Option<(&Key, &str)> {
    reports
        .iter()
        .find_map(|(key, report)| match &report.phase {
            Phase::Failed(problem) if problem.is_terminal() => {
                Some((key, problem.message.as_str()))
            }
            _ => None,
        })
}

/// A hire, a rename, a leaver and a group change, each waited for.
async fn change_people(lab: &mut Lab) -> Result<()> {
    let hired = lab.hire()?;
    wait(lab, &format!("hired      {hired}"), |lab| {
        lab.user(&hired).is_some()
    })
    .await?;
    let (renamed, name) = lab.rename()?;
    wait(lab, &format!("renamed    {renamed} is now {name}"), |lab| {
        lab.user(&renamed)
            .is_some_and(|user| user["displayName"] == name.as_str())
    })
    .await?;
    let left = lab.leave()?;
    wait(
        lab,
        &format!("left       {left} is disabled, sessions revoked"),
        |lab| {
            lab.user(&left)
                .is_some_and(|user| user["accountEnabled"] == false)
        },
    )
    .await?;
    let (group, member) = lab.join()?;
    wait(lab, &format!("joined     {member} is in {group}"), |lab| {
        lab.is_member(&group, &member)
    })
    .await
}

async fn wait(lab: &Lab, what: &str, arrived: impl Fn(&Lab) -> bool) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(30);
    let started = Instant::now();
    while !arrived(lab) {
        anyhow::ensure!(
            started.elapsed() < LIMIT,
            "{what}: has not arrived within {} s",
            LIMIT.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("  {what}  ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(())
}

/// Prints what turns.
async fn tell(run: &FolderRun) -> Result<()> {
    let mut notices = run.host.notices();
    loop {
        let notice = notices.recv().await?;
        println!("{}: {}: {}", notice.subject, notice.reason, notice.note);
    }
}
