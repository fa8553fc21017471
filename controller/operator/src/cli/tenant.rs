//! `plumbline tenant init`: defines the directory extension that marks our objects, once per application.

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use plumbline_cloud::{Defined, Session};

use super::{FolderArgs, block_on, load};
use crate::{
    cloud_tenant::dereference::dereference,
    host::{Host, folder::Folder},
    problem::Problem,
    telemetry::metrics::{Metrics, TargetRequests},
};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Define the directory extension `plumblineOwner` on the application of each CloudTenant of a folder
    Init(InitArgs),
}

/// The flags of `plumbline tenant init`.
#[derive(Clone, Debug, Args)]
pub(super) struct InitArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Only the CloudTenant of this name
    name: Option<String>,
}

pub(super) fn run(command: TenantCommand) -> anyhow::Result<ExitCode> {
    let TenantCommand::Init(InitArgs { folder, name }) = command;
    let manifests = load(&folder)?;
    let tenants: Vec<_> = manifests
        .world
        .tenants
        .iter()
        .filter(|(key, _)| name.as_ref().is_none_or(|name| *name == key.name))
        .map(|(key, tenant)| (key.clone(), tenant.clone()))
        .collect();
    anyhow::ensure!(!tenants.is_empty(), "`{}` holds no such CloudTenant", folder.folder.display());
    let host: Arc<dyn Host> = Arc::new(Folder::new(manifests, folder.secrets));
    let metrics = Arc::new(Metrics::default());
    block_on(async move {
        for (key, tenant) in tenants {
            let result = async {
                let credentials = dereference(&host, &tenant).await?;
                let session = Session::new(credentials, Arc::new(TargetRequests(metrics.clone()))).map_err(|error| Problem::of(&error))?;
                session.define_mark().await.map_err(|error| Problem::of(&error))
            };
            match result.await {
                Ok(Defined::Created(name)) => println!("CloudTenant {key}: `{name}` is defined now"),
                Ok(Defined::Existed(name)) => println!("CloudTenant {key}: `{name}` was defined already"),
                Err(problem) => anyhow::bail!("CloudTenant {key}: {}: {}", problem.reason, problem.message),
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
