//! `plumbline tenant init`: defines the directory extension that marks our objects, once per application.

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use plumbline_cloud::Defined;

use super::{FolderArgs, SecretsArgs, block_on, load};
use crate::{
    cloud_tenant::define_mark,
    host::{Host, folder::Folder},
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
    #[command(flatten)]
    secrets: SecretsArgs,
    /// Only the CloudTenant of this name
    name: Option<String>,
}

pub(super) fn run(command: TenantCommand) -> anyhow::Result<ExitCode> {
    let TenantCommand::Init(InitArgs {
        folder,
        secrets,
        name,
    }) = command;
    let manifests = load(&folder)?;
    let tenants: Vec<_> = manifests
        .world
        .tenants
        .iter()
        .filter(|(key, _)| name.as_ref().is_none_or(|name| *name == key.name))
        .map(|(key, tenant)| (key.clone(), tenant.clone()))
        .collect();
    anyhow::ensure!(
        !tenants.is_empty(),
        "`{}` holds no such CloudTenant",
        folder.folder.display()
    );
    let host: Arc<dyn Host> = Arc::new(Folder::new(manifests, secrets.secrets));
    block_on(async move {
        for (key, tenant) in tenants {
            match define_mark(&host, &tenant).await {
                Ok(Defined::Created) => println!("CloudTenant {key}: the mark is defined now"),
                Ok(Defined::Existed) => println!("CloudTenant {key}: the mark was defined already"),
                Err(problem) => {
                    anyhow::bail!("CloudTenant {key}: {}: {}", problem.reason, problem.message)
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
