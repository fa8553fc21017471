//! A plan over a recorded world: the same validation and the same engine as in a cycle, with the file in the place of both sides.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use plumbline_cloud::GraphTarget;
use plumbline_crds::DirectorySync;
use plumbline_engine::{
    engine::Engine,
    entry::ServerType,
    explain::Question,
    port::{Import, Observation, ReadRequest},
    reason::Reason,
};

use super::{
    dereference::dereference,
    report::{Phase, Report},
    validate::validate,
};
use crate::{
    problem::Problem,
    store::Store,
    world::{Key, World},
    world_file::{Recorded, WorldError, replay},
};

/// What a world has of one sync.
#[derive(Debug, Default)]
struct Known {
    servers: BTreeMap<String, ServerType>,
    asked: BTreeMap<String, ReadRequest>,
    read: BTreeSet<String>,
    observed: bool,
    /// When the last event was; the plan is made as of then.
    at: Timestamp,
}

/// Plans one sync as of when the world was last read, and asks that plan about one object.
///
/// # Errors
/// The outer one: the file. The inner one: what would keep the sync from planning, or what the world lacks.
pub fn plan(
    world: &World,
    key: &Key,
    sync: &Arc<DirectorySync>,
    store: &Store,
    file: &Path,
    question: Option<&Question>,
) -> Result<Result<Report, Problem>, WorldError> {
    if sync.spec.suspend {
        let phase = Phase::Suspended;
        return Ok(Ok(Report {
            phase,
            ..Report::default()
        }));
    }
    let (mut engine, at) = match replayed(world, key, sync, store, file)? {
        Ok(replayed) => replayed,
        Err(problem) => return Ok(Err(problem)),
    };
    let (plan, _) = engine.plan(at);
    let explanations = question.map(|question| engine.explain(question, &plan));
    Ok(Ok(Report {
        phase: Phase::Concluded,
        explanations: explanations.unwrap_or_default(),
        plan: Some(Arc::new(plan)),
        ..Report::default()
    }))
}

/// The engine of a sync as of when the world was last read, and when that was.
///
/// # Errors
/// As [`plan`].
pub fn replayed(
    world: &World,
    key: &Key,
    sync: &Arc<DirectorySync>,
    store: &Store,
    file: &Path,
) -> Result<Result<(Engine, Timestamp), Problem>, WorldError> {
    let known = look(key, file)?;
    let prepared = dereference(world, sync).and_then(|parts| {
        let lacks = |what: String| Err(lacking(&what));
        if let Some(name) = (parts.connectors.keys()).find(|name| !known.read.contains(*name)) {
            return lacks(format!("no complete read of DirectoryConnector `{name}`"));
        }
        if !known.observed {
            return lacks("no complete read of the tenant by this DirectorySync".to_owned());
        }
        let configuration = validate(&parts, &known.servers, GraphTarget::CAPABILITIES)?;
        let mut engine = Engine::new(configuration, store.memory(key, &parts.scopes));
        engine.keep_target_values();
        for name in parts.connectors.keys() {
            let asked = known.asked.get(name).cloned().unwrap_or_default();
            let wanted = engine.read_request(name).attributes;
            if let Some(attribute) = wanted.difference(&asked.attributes).next() {
                return lacks(format!(
                    "attribute `{attribute}` of DirectoryConnector `{name}`, which was not asked for then"
                ));
            }
        }
        Ok(engine)
    });
    let mut engine = match prepared {
        Ok(engine) => engine,
        Err(problem) => return Ok(Err(problem)),
    };
    replay(file, |recorded| match recorded {
        Recorded::Import(connector, event) if connector.namespace == key.namespace => {
            engine.import(&connector.name, event);
        }
        Recorded::Observe(of, event, at) if of == *key => engine.observe(event, at),
        _ => {}
    })?;
    Ok(Ok((engine, known.at)))
}

fn look(key: &Key, file: &Path) -> Result<Known, WorldError> {
    let mut known = Known::default();
    replay(file, |recorded| match recorded {
        Recorded::Request(connector, request) if connector.namespace == key.namespace => {
            known.asked.insert(connector.name, request);
        }
        Recorded::Import(connector, event) if connector.namespace == key.namespace => match event {
            Import::Begin {
                server_type, at, ..
            } => {
                known.servers.insert(connector.name, server_type);
                known.at = known.at.max(at);
            }
            Import::End { .. } => drop(known.read.insert(connector.name)),
            _ => {}
        },
        Recorded::Observe(of, event, at) if of == *key => {
            known.observed |= matches!(event, Observation::End { .. });
            known.at = known.at.max(at);
        }
        _ => {}
    })?;
    Ok(known)
}

fn lacking(what: &str) -> Problem {
    let message = format!(
        "the recorded world has {what}; record it again, with these manifests, by `plumbline sync --record`"
    );
    Problem::new(Reason::ReadIncomplete, message)
}
