//! Every attribute: its value, where that comes from, and how it stands at the tenant.

use plumbline_engine::{
    explain::{Attribute, AttributeState, Desired, Explanation},
    mapping::{Mapped, Origin},
    target::Value,
};

use super::rules::values;
use crate::output::page::{Page, plain};

pub(super) fn attributes(page: &mut Page, explanation: &Explanation) {
    let all = &explanation.attributes;
    let shown: Vec<&Attribute> = all.iter().filter(|one| says_something(one)).collect();
    if all.is_empty() {
        return;
    }
    page.heading("ATTRIBUTES");
    for attribute in &shown {
        one_attribute(page, attribute, explanation.target.is_some());
    }
    if all.len() > shown.len() {
        page.line(
            2,
            &format!(
                "{} more have no value on either side; `--output json` has all",
                all.len() - shown.len()
            ),
        );
    }
}

fn says_something(attribute: &Attribute) -> bool {
    let empty = matches!(
        attribute.desired,
        Desired::Mapped(Mapped::Nothing | Mapped::NotClearable)
    );
    !empty || attribute.held.is_some() || attribute.planned.is_some()
}

fn one_attribute(page: &mut Page, attribute: &Attribute, exists: bool) {
    let desired = match &attribute.desired {
        Desired::Mapped(Mapped::Value(one)) => value(one),
        Desired::Mapped(Mapped::Nothing) => "no value".to_owned(),
        Desired::Mapped(Mapped::Kept) => "left alone by keep()".to_owned(),
        Desired::Mapped(Mapped::NotClearable) => {
            "no value, which the target cannot take".to_owned()
        }
        Desired::Fault(fault) => format!("{}: {}", fault.reason, plain(&fault.message)),
        Desired::Omitted => "omitted".to_owned(),
        Desired::Companion => "sent along as it is".to_owned(),
    };
    let state = match attribute.state {
        AttributeState::InStep => "in step".to_owned(),
        AttributeState::Planned(kind) => format!("to be sent: {}", kind.as_str()),
        AttributeState::Held => "held by the guard".to_owned(),
        AttributeState::Rewritten => "was sent; the tenant made another value of it".to_owned(),
        AttributeState::Drifted => "changed at the tenant; left".to_owned(),
        AttributeState::LeftAlone => "never sent".to_owned(),
        AttributeState::Waits => "waits".to_owned(),
    };
    page.field(
        2,
        &format!("{}  ", attribute.name),
        28,
        &format!("{desired}  ({state})"),
    );
    if exists && attribute.state != AttributeState::InStep {
        let held = attribute
            .held
            .as_ref()
            .map_or_else(|| "no value".to_owned(), value);
        page.line(6, &format!("tenant has {held}"));
    }
    if !attribute.expression.is_empty() {
        let origin = match attribute.origin {
            Origin::Default => "default mapping",
            Origin::Sync => "`spec.mapping`",
            Origin::Scope => "`spec.scopes[].mapping`",
            Origin::Omitted => "omitted",
        };
        let of = attribute.connector.as_ref();
        let of = of.map_or_else(String::new, |connector| {
            format!(" of connector `{connector}`")
        });
        page.line(
            6,
            &format!("from {} ({origin}{of})", plain(&attribute.expression)),
        );
        attribute
            .sources
            .iter()
            .for_each(|source| page.line(6, &values(source)));
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Text(text) => format!("'{}'", plain(text)),
        Value::List(list) => {
            let all: Vec<String> = list
                .iter()
                .map(|text| format!("'{}'", plain(text)))
                .collect();
            format!("[{}]", all.join(", "))
        }
    }
}
