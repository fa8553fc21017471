//! The status of a DirectoryConnector, from what its worker knows.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use plumbline_crds::{Comparison, DirectoryConnector, DirectoryConnectorStatus};
use plumbline_directory::DeletedObjects;
use plumbline_engine::reason::Reason;

use super::State;
use crate::{
    runtime::requested,
    standing::{Standing, observed},
};

/// The whole status, and where the connector stands.
pub fn status(
    connector: &DirectoryConnector,
    state: &State,
) -> (DirectoryConnectorStatus, Standing) {
    let previous = connector.status.clone().unwrap_or_default();
    let standing = standing(connector, state);
    let generation = connector.metadata.generation;
    let facts = state.facts.as_ref();
    let status = DirectoryConnectorStatus {
        observed_generation: observed(&standing, generation, previous.observed_generation),
        conditions: standing.conditions(&previous.conditions, generation, Timestamp::now()),
        server_type: facts.map(|facts| facts.server_type.as_str().into()),
        server: facts.map(|facts| facts.server.clone()),
        deleted_objects: facts.map(|facts| match facts.deleted_objects {
            DeletedObjects::Readable => plumbline_crds::DeletedObjects::Readable,
            DeletedObjects::NotReadable => plumbline_crds::DeletedObjects::NotReadable,
            DeletedObjects::NotOffered => plumbline_crds::DeletedObjects::NotOffered,
        }),
        feed: facts.map(|facts| plumbline_crds::ChangeFeed {
            kind: facts.feed.kind.as_str().into(),
            why: facts.feed.why.chars().take(1024).collect(),
        }),
        subordinate_contexts: facts
            .map(|facts| {
                facts
                    .subordinate_contexts
                    .iter()
                    .take(32)
                    .cloned()
                    .collect()
            })
            .unwrap_or_default(),
        counts: state.counts,
        verified: state.verified.map(|(at, found)| {
            let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
            Comparison {
                time: Time(at),
                arrived: count(found.arrived),
                changed: count(found.changed),
                renamed: count(found.renamed),
                left: count(found.left),
            }
        }),
        last_read_time: state.last_read.map(Time),
        last_handled_reconcile_at: if state.finished > 0 {
            requested(connector)
        } else {
            previous.last_handled_reconcile_at
        },
    };
    (status, standing)
}

fn standing(connector: &DirectoryConnector, state: &State) -> Standing {
    if connector.spec.suspend {
        return Standing::Suspended;
    }
    if let Some(problem) = &state.problem {
        return Standing::Failing(problem.clone());
    }
    match (&state.facts, state.finished) {
        (Some(facts), 1..) => {
            let mut message = format!("{} answers", facts.server);
            if let Some(counts) = &state.counts {
                message = format!(
                    "{message}; read {} users and {} groups",
                    counts.users, counts.groups
                );
            }
            if facts.deleted_objects == DeletedObjects::NotReadable {
                message.push_str("; the account sees no deleted objects, so a deletion needs two complete reads to be believed");
            }
            Standing::Ready(Reason::Succeeded, message)
        }
        _ => Standing::Progressing("connecting to the directory".into()),
    }
}

#[cfg(test)]
mod tests {
    use plumbline_directory::ServerFacts;
    use plumbline_engine::entry::ServerType;

    use super::*;

    #[test]
    fn contexts_below_the_base_are_shown() {
        let context = "ldap://child.corp.example.com/DC=child,DC=corp,DC=example,DC=com";
        let facts = |subordinate_contexts| ServerFacts {
            server_type: ServerType::ActiveDirectory,
            vendor: None,
            server: "ldaps://dc1.corp.example.com".into(),
            naming_contexts: vec![],
            deleted_objects: DeletedObjects::Readable,
            subordinate_contexts,
            feed: plumbline_directory::FeedFacts {
                kind: plumbline_directory::FeedKind::FullRead,
                why: "every read is a complete one".into(),
            },
        };
        let spec = plumbline_crds::DirectoryConnectorSpec {
            r#type: plumbline_crds::ServerType::Auto,
            servers: vec![],
            base_dn: "DC=corp,DC=example,DC=com".into(),
            anchor: None,
            bind: plumbline_crds::Bind::simple("bind"),
            tls: None,
            changes: plumbline_crds::Changes::default(),
            suspend: false,
        };
        let connector = DirectoryConnector::new("corp", spec);
        for (found, shown) in [(1, 1), (40, 32)] {
            let state = State {
                facts: Some(facts(vec![context.into(); found])),
                ..State::default()
            };
            let status = serde_json::to_value(status(&connector, &state).0).unwrap();
            assert_eq!(
                status["subordinateContexts"],
                serde_json::json!(vec![context; shown])
            );
        }
    }
}
