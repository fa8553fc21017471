//! `plumbline mappings`: the effective mapping of every scope of a folder, offline.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use plumbline_cloud::GraphTarget;
use plumbline_engine::entry::ServerType;

use super::{FolderArgs, OutputArgs, load, validate::claimed};
use crate::{
    directory_sync::{dereference::dereference, validate::validate},
    output::{
        Form,
        table::{shorten, table},
    },
};

/// The flags of `plumbline mappings`.
#[derive(Clone, Debug, Args)]
pub(super) struct MappingsArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &MappingsArgs) -> anyhow::Result<ExitCode> {
    let manifests = load(&args.folder)?;
    let mut values = Vec::new();
    for (key, sync) in &manifests.world.syncs {
        let parts = dereference(&manifests.world, sync)
            .map_err(|problem| anyhow::anyhow!("DirectorySync {key}: {}", problem.message))?;
        let mut servers = BTreeMap::new();
        for (name, connector) in &parts.connectors {
            let server = claimed(connector.spec.r#type).unwrap_or_else(|| {
                eprintln!("note: DirectoryConnector {name} is of type Auto; shown as ActiveDirectory, set `spec.type` to see another");
                ServerType::ActiveDirectory
            });
            servers.insert(name.clone(), server);
        }
        let configuration =
            validate(&parts, &servers, GraphTarget::CAPABILITIES).map_err(|problem| {
                anyhow::anyhow!(
                    "DirectorySync {key}: {}: {}",
                    problem.reason,
                    problem.message
                )
            })?;
        for scope in &configuration.scopes {
            for (class, mapping) in scope
                .mapping
                .iter()
                .filter(|(class, _)| scope.classes.contains(class))
            {
                let rows = mapping.rows();
                if args.output.output == Form::Json {
                    let rows: Vec<_> = rows
                        .iter()
                        .map(|row| serde_json::json!({"target": row.target, "expression": row.expression, "origin": row.origin.as_str()}))
                        .collect();
                    values.push(serde_json::json!({"sync": key.to_string(), "scope": scope.name, "class": class.as_str(), "mapping": rows}));
                    continue;
                }
                let heading = format!(
                    "DirectorySync {key}, SyncScope {}, {}s:",
                    scope.name,
                    class.as_str()
                );
                if args.output.output == Form::Markdown {
                    println!("### {heading}\n\n| target | expression | from |\n|---|---|---|");
                    rows.iter().for_each(|row| {
                        println!(
                            "| {} | `{}` | {} |",
                            row.target,
                            row.expression.replace('|', "\\|"),
                            row.origin.as_str()
                        )
                    });
                } else {
                    println!("{heading}");
                    let rows: Vec<_> = rows
                        .iter()
                        .map(|row| {
                            vec![
                                row.target.to_owned(),
                                shorten(&row.expression, 72),
                                row.origin.as_str().to_owned(),
                            ]
                        })
                        .collect();
                    println!("{}", table(&["TARGET", "EXPRESSION", "FROM"], &rows));
                }
            }
        }
    }
    if args.output.output == Form::Json {
        println!("{}", serde_json::to_string_pretty(&values)?);
    }
    Ok(ExitCode::SUCCESS)
}
