//! `plumbline explain`: one object, over what there is now or what was recorded. People's values are printed on standard output, for
//! whoever runs the command, and go nowhere else.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Args;
use plumbline_engine::explain::{Explanation, Question};

use super::{
    FolderArgs, OutputArgs, load,
    look::{LookArgs, Results, look},
};
use crate::{
    directory_sync::report::Phase,
    output::{Form, explain, explain_json},
    telemetry::logs::{self, Format},
    world::{Key, Kind, World},
};

/// The exit code when nothing fits the question.
const NOT_FOUND: u8 = 3;
/// The exit code when several objects of one sync fit it.
const AMBIGUOUS: u8 = 4;

/// What the exit codes mean.
const EXIT_CODES: &str = "Exit codes:\n  0  the object was found and is explained\n  1  an error\n  3  nothing was found\n  \
                          4  several objects fit; they are listed";

/// The flags of `plumbline explain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ExplainArgs {
    /// Resource that is asked: a DirectorySync; or a SyncScope or DirectoryConnector, which narrows the look in every DirectorySync that uses it
    #[arg(value_name = "KIND/NAME")]
    resource: String,
    /// Object that is asked about: its DN, its source anchor (base64, hexadecimal or GUID), or its sign-in name or mail address
    #[arg(value_name = "OBJECT")]
    object: String,
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let ExplainArgs {
        resource,
        object,
        folder,
        look: from,
        output,
    } = args;
    logs::start(Format::Text, "error")?;
    let mut manifests = load(&folder)?;
    let (kind, name) = named(&resource)?;
    let mut question = Question::new(&object);
    match kind {
        Kind::SyncScope => {
            question.connector = connector_of(&manifests.world, name);
            question.scope = Some(name.to_owned());
        }
        Kind::DirectoryConnector => question.connector = Some(name.to_owned()),
        Kind::DirectorySync | Kind::CloudTenant => {}
    }
    let asked = syncs(&manifests.world, kind, name)?;
    manifests.world.syncs.retain(|key, _| asked.contains(key));
    let results = look(manifests, from, Some(question))?;
    show(&object, results, output.output)
}

/// Kind and name of a resource as `kubectl` takes them: `directorysync/staff`, `dsync/staff`.
fn named(resource: &str) -> anyhow::Result<(Kind, &str)> {
    let form =
        || anyhow::anyhow!("`{resource}` is no KIND/NAME: write for example `directorysync/staff`");
    let (kind, name) = resource.split_once('/').ok_or_else(form)?;
    let kind = kind.to_lowercase();
    let known = plumbline_crds::all().into_iter().find_map(|definition| {
        let names = definition.spec.names;
        let mut words = [
            Some(names.kind.to_lowercase()),
            Some(names.plural),
            names.singular,
        ]
        .into_iter()
        .flatten()
        .chain(names.short_names.unwrap_or_default());
        let is = words.any(|word| word == kind);
        Kind::ALL
            .into_iter()
            .find(|known| is && known.as_str() == names.kind)
    });
    match known {
        Some(Kind::CloudTenant) | None => anyhow::bail!(
            "`{kind}` cannot be asked about an object: name a DirectorySync, or a SyncScope or DirectoryConnector that one uses"
        ),
        Some(known) => Ok((known, name)),
    }
}

fn connector_of(world: &World, scope: &str) -> Option<String> {
    let mut scopes = world.scopes.iter();
    let found = scopes.find(|(key, _)| key.name == scope);
    found.map(|(_, scope)| scope.spec.connector_ref.name.clone())
}

/// The syncs that a resource is, or that use it.
fn syncs(world: &World, kind: Kind, name: &str) -> anyhow::Result<Vec<Key>> {
    let uses = |key: &Key| {
        let sync = world.syncs.get(key);
        let mut scopes = sync.iter().flat_map(|sync| &sync.spec.scopes);
        match kind {
            Kind::SyncScope => scopes.any(|scope| scope.name == name),
            Kind::DirectoryConnector => scopes.any(|scope| {
                let scope = world.scopes.get(&key.sibling(&scope.name));
                scope.is_some_and(|scope| scope.spec.connector_ref.name == name)
            }),
            Kind::DirectorySync | Kind::CloudTenant => key.name == name,
        }
    };
    let all: Vec<&Key> = world.syncs.keys().collect();
    let found: Vec<Key> = all
        .iter()
        .filter(|key| uses(key))
        .map(|key| (*key).clone())
        .collect();
    if found.is_empty() {
        let all: Vec<String> = all.iter().map(|key| format!("`{}`", key.name)).collect();
        let what = match kind {
            Kind::DirectorySync => "there is no DirectorySync".to_owned(),
            other => format!("no DirectorySync uses a {}", other.as_str()),
        };
        anyhow::bail!(
            "{what} `{name}`; the folder has the DirectorySyncs {}",
            all.join(", ")
        );
    }
    Ok(found)
}

/// Prints explanations, and gives the exit code.
fn show(object: &str, results: Results, form: Form) -> anyhow::Result<ExitCode> {
    let (mut failed, mut most) = (false, 0);
    let mut found: BTreeMap<Key, Vec<Explanation>> = BTreeMap::new();
    for (key, result) in results {
        match result {
            Ok(report) if report.phase == Phase::Suspended => {
                failed = true;
                eprintln!(
                    "error: DirectorySync {key} is suspended and plans nothing; remove `spec.suspend` in a copy of the folder to ask it"
                );
            }
            Ok(report) => {
                most = most.max(report.explanations.len());
                found.insert(key, report.explanations);
            }
            Err(problem) => {
                failed = true;
                eprintln!(
                    "error: DirectorySync {key}: {}: {}",
                    problem.reason, problem.message
                );
            }
        }
    }
    match form {
        Form::Json => {
            let all = found.iter().flat_map(|(key, all)| {
                all.iter()
                    .map(|explanation| explain_json::json(key, explanation))
            });
            println!(
                "{}",
                serde_json::to_string_pretty(&all.collect::<Vec<_>>())?
            );
        }
        Form::Table | Form::Markdown => {
            let texts: Vec<String> = found
                .iter()
                .map(|(key, all)| match all.as_slice() {
                    [] => explain::nothing(key, object),
                    [one] => explain::text(key, one),
                    several => explain::several(key, object, several),
                })
                .collect();
            let text = texts.join("\n");
            match form {
                Form::Markdown => print!("```text\n{text}```\n"),
                _ => print!("{text}"),
            }
        }
    }
    Ok(match most {
        _ if failed => ExitCode::FAILURE,
        0 => ExitCode::from(NOT_FOUND),
        1 => ExitCode::SUCCESS,
        _ => ExitCode::from(AMBIGUOUS),
    })
}
