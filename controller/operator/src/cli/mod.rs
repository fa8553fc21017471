//! The command line. Every flag has an environment variable `PLUMBLINE_…`; secrets never come by flag.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::output::Form;

mod explain;
mod look;
mod mappings;
mod operator;
mod plan;
mod sync;
mod tenant;
mod validate;

pub use operator::OperatorArgs;
pub use sync::SyncArgs;

/// Keeps a cloud directory true to the directory on the ground.
#[derive(Debug, Parser)]
#[command(name = "plumbline", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run in a cluster: watch the resources of namespaces and keep their tenants in step
    Operator(OperatorArgs),
    /// Run without a cluster: keep tenants in step with a folder of manifests
    Sync(SyncArgs),
    /// Show what a folder of manifests would write; exits with 0 for nothing, 2 for changes, 1 for an error
    Plan(plan::PlanArgs),
    /// Tell why one object is in or out, what its attributes are made from, and what would be done about it
    Explain(explain::ExplainArgs),
    /// Check a folder of manifests without any network: schemas, rules, expressions, filters, references
    Validate(validate::ValidateArgs),
    /// Print the CustomResourceDefinitions
    Crds,
    /// Print which expression sets each target attribute
    Mappings(mappings::MappingsArgs),
    /// Prepare a tenant
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
}

/// Where manifests are.
#[derive(Clone, Debug, Args)]
pub struct FolderArgs {
    /// Folder of manifests, read with its subfolders
    #[arg(
        short = 'f',
        long = "folder",
        value_name = "DIR",
        env = "PLUMBLINE_FOLDER"
    )]
    pub folder: PathBuf,
    /// Namespace of manifests that name none
    #[arg(long, default_value = "default", env = "PLUMBLINE_NAMESPACE")]
    pub namespace: String,
}

/// Where secrets are.
#[derive(Clone, Debug, Args)]
pub struct SecretsArgs {
    /// Folder of Secrets, laid out as mounted: one folder a Secret, one file a key
    #[arg(long, value_name = "DIR", env = "PLUMBLINE_SECRETS")]
    pub secrets: Option<PathBuf>,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Table, env = "PLUMBLINE_OUTPUT")]
    pub output: Form,
}

/// Runs a command and gives its exit code.
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Operator(args) => operator::run(args),
        Command::Sync(args) => sync::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Validate(args) => validate::run(&args),
        Command::Crds => crds(),
        Command::Mappings(args) => mappings::run(&args),
        Command::Tenant(command) => tenant::run(command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn crds() -> anyhow::Result<ExitCode> {
    for (at, (_, yaml)) in plumbline_crds::yaml()?.into_iter().enumerate() {
        print!("{}{yaml}", if at > 0 { "---\n" } else { "" });
    }
    Ok(ExitCode::SUCCESS)
}

/// A multi-threaded runtime; the engine's work is done on its threads.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

/// Resolves at SIGTERM or Ctrl-C.
async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}

/// Loads a folder whose manifests must all be valid.
fn load(args: &FolderArgs) -> anyhow::Result<crate::manifest::Manifests> {
    let (manifests, faults) = crate::manifest::load(&args.folder, &args.namespace);
    if !faults.is_empty() {
        for fault in &faults {
            eprintln!("error: {fault}");
        }
        anyhow::bail!(
            "{} of the manifests in `{}` cannot be used; see `plumbline validate`",
            faults.len(),
            args.folder.display()
        );
    }
    Ok(manifests)
}
