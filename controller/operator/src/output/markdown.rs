//! A plan as Markdown, for a comment on a pull request.

use plumbline_engine::{operation::ChangeKind, plan::Plan};

use super::plan::{headline, row};
use crate::world::Key;

/// How many operations of one kind a comment shows.
const SHOWN: usize = 50;

/// A heading, a table a kind of operation, holds and quarantine.
pub fn plan(sync: &Key, plan: &Plan) -> String {
    let mut text = format!("### {}\n", headline(sync, plan));
    for kind in ChangeKind::ALL {
        let all: Vec<_> = plan
            .operations
            .iter()
            .filter(|operation| operation.change.kind() == kind)
            .collect();
        if all.is_empty() {
            continue;
        }
        text.push_str("\n| operation | class | name | what |\n|---|---|---|---|\n");
        for operation in all.iter().take(SHOWN) {
            text.push_str(&line(&row(plan, operation)));
        }
        if all.len() > SHOWN {
            text.push_str(&format!(
                "\n… and {} more of this kind\n",
                all.len() - SHOWN
            ));
        }
    }
    for hold in &plan.holds {
        text.push_str(&format!("\n> **held:** {}\n", hold.limit));
    }
    for fault in &plan.faults {
        text.push_str(&format!(
            "\n> **{}:** SyncScope `{}`: {}\n",
            fault.reason, fault.scope, fault.message
        ));
    }
    if !plan.quarantine.is_empty() {
        text.push_str("\n| quarantined | entry | why |\n|---|---|---|\n");
        for object in plan.quarantine.iter().take(SHOWN) {
            text.push_str(&line(&[
                object.reason.to_string(),
                object.dn.clone(),
                object.message.clone(),
            ]));
        }
    }
    text
}

fn line(cells: &[String]) -> String {
    let cells: Vec<_> = cells
        .iter()
        .map(|cell| {
            cell.replace('\\', "\\\\")
                .replace('|', "\\|")
                .replace('\n', " ")
        })
        .collect();
    format!("| {} |\n", cells.join(" | "))
}
