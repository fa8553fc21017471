//! What each scope says of the entry: the rule that takes it in, or the first thing that keeps it out.

use plumbline_engine::{
    configuration::Include,
    entry::Class,
    explain::{Explanation, Rule, Source, Verdict},
};

use super::VALUES;
use crate::output::page::{Page, hex, plain};

pub(super) fn scopes(page: &mut Page, explanation: &Explanation) {
    if explanation.scopes.is_empty() && explanation.faults.is_empty() {
        return;
    }
    page.heading("SCOPES");
    for ruling in &explanation.scopes {
        let (word, why, sources) = verdict(explanation.class, &ruling.verdict);
        page.line(2, &format!("{}: {word}, {why}", ruling.scope));
        sources
            .iter()
            .for_each(|source| page.line(6, &values(source)));
    }
    for fault in &explanation.faults {
        page.line(
            2,
            &format!(
                "{}: {}: {}",
                fault.scope,
                fault.reason,
                plain(&fault.message)
            ),
        );
    }
}

fn verdict(class: Option<Class>, verdict: &Verdict) -> (&'static str, String, Vec<Source>) {
    let out = |why: String| ("out", why, Vec::new());
    match verdict {
        Verdict::Taken { by } => ("in", rule(by), Vec::new()),
        Verdict::OtherClass { classes } => {
            let classes: Vec<&str> = classes.iter().map(|class| class.as_str()).collect();
            let class = class.map_or("entry", Class::as_str);
            out(format!(
                "it is a {class} and `spec.classes` has only {}",
                classes.join(", ")
            ))
        }
        Verdict::NotIncluded { rules } => {
            let rules: Vec<String> = rules.iter().map(not_in).collect();
            out(format!(
                "no rule of `spec.include` holds: {}",
                rules.join("; ")
            ))
        }
        Verdict::Excluded { by } => out(format!("`spec.exclude` keeps it out: {}", rule(by))),
        Verdict::ExcludedByDefault { rule } => out(format!(
            "it is {rule}, and such entries are never synchronised (docs/reference/mappings.md)"
        )),
        Verdict::Filtered { filter, sources } => (
            "out",
            format!("`spec.filter` does not hold: {}", plain(filter)),
            sources.clone(),
        ),
        Verdict::WhenFalse {
            expression,
            sources,
        } => (
            "out",
            format!("`spec.when` is false: {}", plain(expression)),
            sources.clone(),
        ),
        Verdict::WhenFailed {
            expression,
            message,
            sources,
        } => (
            "undecided",
            format!("`spec.when` failed: {message}: {}", plain(expression)),
            sources.clone(),
        ),
        Verdict::NotRead => (
            "undecided",
            "its connector was not read to its end".to_owned(),
            Vec::new(),
        ),
    }
}

/// What a rule that holds says.
fn rule(rule: &Rule) -> String {
    let other = |dn: &&String| rule.dn.as_ref() != Some(dn);
    let via: Vec<String> = rule
        .via
        .iter()
        .filter(other)
        .map(|dn| format!("`{}`", plain(dn)))
        .collect();
    let via = if via.is_empty() {
        String::new()
    } else {
        format!(", by way of {}", via.join(" and "))
    };
    match &rule.include {
        Include::Everything => "everything is included".to_owned(),
        Include::OrganizationalUnit(_) => format!("it lies below {}", place(rule)),
        Include::Group(_) => format!("it is a member of {}{via}", place(rule)),
    }
}

fn not_in(rule: &Rule) -> String {
    let unsettled = if rule.settled {
        ""
    } else {
        " (which was not found)"
    };
    match &rule.include {
        Include::Everything => "everything".to_owned(),
        Include::OrganizationalUnit(_) => format!("it is not below {}{unsettled}", place(rule)),
        Include::Group(_) => format!("it is no member of {}{unsettled}", place(rule)),
    }
}

fn place(rule: &Rule) -> String {
    let written = match &rule.include {
        Include::Everything => String::new(),
        Include::OrganizationalUnit(written) | Include::Group(written) => written.to_string(),
    };
    format!("`{}`", plain(rule.dn.as_ref().unwrap_or(&written)))
}

/// What the source has of one attribute.
pub(super) fn values(source: &Source) -> String {
    if source.values.is_empty() {
        return format!("with {} absent", source.attribute);
    }
    let shown: Vec<String> = (source.values.iter().take(VALUES))
        .map(|value| bytes(value))
        .collect();
    let more = source.values.len().saturating_sub(VALUES);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("with {} = {}{more}", source.attribute, shown.join(", "))
}

fn bytes(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => format!("'{}'", plain(text)),
        Err(_) => format!("hex {}", hex(value)),
    }
}
