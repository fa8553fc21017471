//! Turns a SyncScope into the engine's rule. After this step nothing else reaches into the spec.

use std::collections::{BTreeMap, BTreeSet};

use plumbline_crds::{ObjectClass, SyncScope};
use plumbline_engine::{
    configuration::{Include, Scope},
    dn::Written,
    entry::Class,
    expression::Expression,
    filter::Filter,
    reason::Reason,
};

use crate::problem::{Problem, chain};

/// The rule of a scope, still without mappings: those are the sync's.
pub fn validate(name: &str, scope: &SyncScope) -> Result<Scope, Problem> {
    let spec = &scope.spec;
    let mut include = Vec::with_capacity(spec.include.len());
    for (at, item) in spec.include.iter().enumerate() {
        include.push(
            match (&item.organizational_unit, &item.group, &item.everything) {
                (Some(dn), None, None) => Include::OrganizationalUnit(written(
                    dn,
                    &format!("spec.include[{at}].organizationalUnit"),
                )?),
                (None, Some(dn), None) => {
                    Include::Group(written(dn, &format!("spec.include[{at}].group"))?)
                }
                (None, None, Some(_)) => Include::Everything,
                _ => {
                    return Err(Problem::new(
                        Reason::InvalidSpec,
                        format!("`spec.include[{at}]`: exactly one member must be given"),
                    ));
                }
            },
        );
    }
    let mut exclude = Vec::with_capacity(spec.exclude.len());
    for (at, item) in spec.exclude.iter().enumerate() {
        exclude.push(match (&item.organizational_unit, &item.group) {
            (Some(dn), None) => Include::OrganizationalUnit(written(
                dn,
                &format!("spec.exclude[{at}].organizationalUnit"),
            )?),
            (None, Some(dn)) => Include::Group(written(dn, &format!("spec.exclude[{at}].group"))?),
            _ => {
                return Err(Problem::new(
                    Reason::InvalidSpec,
                    format!("`spec.exclude[{at}]`: exactly one member must be given"),
                ));
            }
        });
    }
    let filter = match &spec.filter {
        Some(text) => Some(Filter::parse(text).map_err(|error| {
            Problem::new(
                Reason::InvalidLDAPFilter,
                format!("`spec.filter`: {}", chain(&error)),
            )
        })?),
        None => None,
    };
    let mut when = BTreeMap::new();
    if let Some(expressions) = &spec.when {
        for (class, field, source) in [
            (Class::User, "user", &expressions.user),
            (Class::Group, "group", &expressions.group),
        ] {
            if let Some(source) = source {
                let expression = Expression::compile(source, class).map_err(|error| {
                    Problem::new(
                        Reason::InvalidCELExpression,
                        format!("`spec.when.{field}`: {}", chain(&error)),
                    )
                })?;
                when.insert(class, expression);
            }
        }
    }
    Ok(Scope {
        name: name.into(),
        connector: spec.connector_ref.name.clone(),
        classes: spec
            .classes
            .iter()
            .copied()
            .map(class)
            .collect::<BTreeSet<_>>(),
        include,
        exclude,
        filter,
        when,
        mapping: BTreeMap::new(),
    })
}

fn class(class: ObjectClass) -> Class {
    match class {
        ObjectClass::User => Class::User,
        ObjectClass::Group => Class::Group,
        ObjectClass::Contact => Class::Contact,
    }
}

fn written(text: &str, field: &str) -> Result<Written, Problem> {
    Written::parse(text)
        .map_err(|error| Problem::new(Reason::InvalidSpec, format!("`{field}`: {}", chain(&error))))
}
