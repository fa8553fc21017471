//! `plumbline validate`: everything that can be told without a network.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use plumbline_cloud::GraphTarget;
use plumbline_crds::ServerType as Claimed;
use plumbline_engine::entry::ServerType;

use super::{FolderArgs, OutputArgs};
use crate::{
    directory_sync::{dereference::dereference, validate::validate},
    manifest::{self, Fault, Manifests},
    output::{Form, table::table},
    problem::Problem,
    sync_scope,
    world::{Key, Kind},
};

/// The flags of `plumbline validate`.
#[derive(Clone, Debug, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let (manifests, mut faults) = manifest::load(&args.folder.folder, &args.folder.namespace);
    faults.extend(check(&manifests));
    let world = &manifests.world;
    let count =
        world.connectors.len() + world.tenants.len() + world.scopes.len() + world.syncs.len();
    match args.output.output {
        Form::Json => {
            let values: Vec<_> = faults
                .iter()
                .map(|fault| serde_json::json!({"file": fault.file, "resource": fault.resource, "field": fault.field, "message": fault.message}))
                .collect();
            println!("{}", serde_json::to_string_pretty(&values)?);
        }
        Form::Markdown => {
            println!("| file | resource | field | message |\n|---|---|---|---|");
            faults.iter().for_each(|fault| {
                println!(
                    "| {} |",
                    cells(fault)
                        .map(|cell| cell.replace('|', "\\|"))
                        .join(" | ")
                )
            });
        }
        Form::Table if faults.is_empty() => println!("{count} resources are valid"),
        Form::Table => {
            let rows: Vec<Vec<String>> = faults.iter().map(|fault| cells(fault).to_vec()).collect();
            print!(
                "{}",
                table(&["FILE", "RESOURCE", "FIELD", "MESSAGE"], &rows)
            );
        }
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn cells(fault: &Fault) -> [String; 4] {
    [
        fault.file.display().to_string(),
        fault.resource.clone().unwrap_or_default(),
        fault.field.clone().unwrap_or_default(),
        fault.message.clone(),
    ]
}

/// What schemas cannot see: references, expressions, filters, mappings.
fn check(manifests: &Manifests) -> Vec<Fault> {
    let world = &manifests.world;
    let mut faults = Vec::new();
    let mut add = |kind: Kind, key: &Key, problem: Problem| {
        faults.push(Fault {
            file: manifests
                .files
                .get(&(kind, key.clone()))
                .cloned()
                .unwrap_or_default(),
            resource: Some(format!("{} {}", kind.as_str(), key.name)),
            field: None,
            message: format!("{}: {}", problem.reason, problem.message),
        });
    };
    for (key, scope) in &world.scopes {
        if let Err(problem) = sync_scope::validate::validate(&key.name, scope) {
            add(Kind::SyncScope, key, problem);
        }
    }
    for (key, sync) in &world.syncs {
        // Without a network an `Auto` server can be anything; overrides must fit whatever it turns out to be.
        let result = dereference(world, sync).and_then(|parts| {
            for guess in [
                ServerType::ActiveDirectory,
                ServerType::OpenLdap,
                ServerType::DirectoryServer389,
                ServerType::FreeIpa,
                ServerType::Generic,
            ] {
                let servers: BTreeMap<_, _> = parts
                    .connectors
                    .iter()
                    .map(|(name, connector)| {
                        (
                            name.clone(),
                            claimed(connector.spec.r#type).unwrap_or(guess),
                        )
                    })
                    .collect();
                validate(&parts, &servers, GraphTarget::CAPABILITIES)?;
            }
            Ok(())
        });
        if let Err(problem) = result {
            add(Kind::DirectorySync, key, problem);
        }
    }
    faults
}

/// What a connector's type is known to be from its spec.
pub(super) fn claimed(claimed: Claimed) -> Option<ServerType> {
    match claimed {
        Claimed::Auto => None,
        Claimed::ActiveDirectory => Some(ServerType::ActiveDirectory),
        Claimed::OpenLdap => Some(ServerType::OpenLdap),
        Claimed::DirectoryServer389 => Some(ServerType::DirectoryServer389),
        Claimed::FreeIpa => Some(ServerType::FreeIpa),
        Claimed::Generic => Some(ServerType::Generic),
    }
}
