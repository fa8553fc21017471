//! Configurations for law 2, by kind: of one directory, and of two whose people are joined.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::check::configuration;
use crate::{
    configuration::{Configuration, ConnectorSettings, Include, JoinRule, Joins, Scope},
    dn::Written,
    engine::Engine,
    entry::Class,
    expression::Expression,
    filter::Filter,
};

/// Configurations with two directories: joined by the address, by a number, and not at all.
pub(super) const JOINED: u8 = 4;
pub(super) const CONNECTORS: [&str; 2] = ["ldap", "other"];

thread_local! {
    /// Configurations that are not in use, by kind.
    static COMPILED: RefCell<BTreeMap<u8, Vec<Configuration>>> = const { RefCell::new(BTreeMap::new()) };
}

/// One that was compiled before, if there is one.
pub(super) fn compiled(kind: u8) -> Configuration {
    let known = COMPILED.with_borrow_mut(|all| all.get_mut(&kind)?.pop());
    known.unwrap_or_else(|| scopes(kind))
}

pub(super) fn put_back(kind: u8, engine: Engine) {
    let configuration = engine.dissolve();
    COMPILED.with_borrow_mut(|all| all.entry(kind).or_default().push(configuration));
}

/// Two directories, each with a scope of its own.
fn two(kind: u8) -> Configuration {
    let mut configuration = scopes(3);
    for (at, scope) in configuration.scopes.iter_mut().enumerate() {
        scope.connector = CONNECTORS[at].to_owned();
    }
    if let Some(second) = configuration.scopes.get_mut(1) {
        let unit = Written::parse("ou=other0,dc=x").unwrap();
        let staff = Written::parse("ou=staff0,dc=x").unwrap();
        second.include = [unit, staff].map(Include::OrganizationalUnit).into();
    }
    let settings = ConnectorSettings {
        name: CONNECTORS[1].to_owned(),
        ..configuration.connectors[0].clone()
    };
    configuration.connectors.push(settings);
    let rule = |attribute: &str| JoinRule {
        attributes: CONNECTORS
            .map(|name| (name.to_owned(), attribute.to_owned()))
            .into(),
    };
    let rules = match kind {
        0 => vec![rule("mail")],
        1 => vec![rule("mail"), rule("departmentnumber")],
        _ => return configuration,
    };
    configuration.joins = Some(Joins {
        precedence: CONNECTORS.map(str::to_owned).into(),
        first: [("department", 1), ("manager", 1)]
            .map(|(name, at)| (name.to_owned(), vec![CONNECTORS[at].to_owned()]))
            .into(),
        rules,
    });
    configuration
}

pub(super) fn scopes(kind: u8) -> Configuration {
    if kind >= JOINED {
        return two(kind - JOINED);
    }
    let mut configuration = configuration(true, true, false, &BTreeSet::new());
    let group = |at: u8| {
        let guid = super::feed::group_anchor(usize::from(at)).to_string();
        Include::Group(Written::parse(&format!("<GUID={guid}>")).unwrap())
    };
    let Some(scope) = configuration.scopes.first_mut() else {
        return configuration;
    };
    match kind {
        0 => {}
        1 => {
            scope.include = vec![group(0)];
            let when = "user.employeeType != 'Type 1' && !expired(user.krbPrincipalExpiration)";
            let when = Expression::compile(when, Class::User).unwrap();
            scope.when.insert(Class::User, when);
        }
        2 => {
            scope.include = vec![Include::Everything];
            scope.exclude = vec![group(1)];
            scope.filter = Some(Filter::parse("(!(departmentNumber=Department 2))").unwrap());
        }
        _ => {
            let mut second = Scope {
                name: "also".to_owned(),
                ..self::scopes(0).scopes.remove(0)
            };
            second.include = vec![group(2)];
            second.exclude = Vec::new();
            configuration.scopes.push(second);
        }
    }
    configuration
}
