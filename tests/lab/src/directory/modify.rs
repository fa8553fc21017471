//! Adding and modifying entries: schema rules, spelling of names, operational attributes, references.

use jiff::Timestamp;
use ldap3_proto::proto::LdapResultCode;

use super::Profile;
use super::active_directory;
use super::dn::{Dn, Rdn};
use super::entry::{self, Attribute, Entry, Modification, Operation};
use super::filter::same;
use super::refusal::Refusal;
use super::schema;
use super::store::{Store, Stored};

impl Store {
    /// Adds an entry without looking at what its references name; see `settle_references`.
    pub(crate) fn add(&mut self, entry: &Entry) -> Result<u64, Refusal> {
        let name = self.spell(&self.parse(&entry.dn)?);
        if self.find(&name).is_some() {
            return Err(self.exists());
        }
        let parent = self.parent_of(&name)?;
        let above = parent
            .and_then(|id| self.entries.get(&id))
            .map(|each| each.dn.clone());
        let Some(rdn) = name.0.first().cloned() else {
            return Err(Refusal::new(
                LdapResultCode::UnwillingToPerform,
                "the root cannot be added",
            ));
        };
        let name = match above {
            Some(above) => above.child(rdn.clone()),
            None => name,
        };
        let mut attributes: Vec<Attribute> = Vec::with_capacity(entry.attributes.len() + 8);
        for given in &entry.attributes {
            let mut attribute = Attribute {
                name: self.known(&given.name)?,
                values: Vec::new(),
            };
            add_values(self.profile, &mut attribute, &given.values)?;
            attributes.push(attribute);
        }
        let mut stored = Stored::new(parent, name, attributes);
        self.name_values(&mut stored, &rdn)?;
        self.check(&stored)?;
        self.stamp_new(&mut stored);
        self.place(stored)
    }

    /// Spells the names that an entry refers to as this server does. AD wants each to exist and links it.
    pub(crate) fn settle_references(&mut self, id: u64, must_exist: bool) -> Result<(), Refusal> {
        let Some(stored) = self.entries.get(&id) else {
            return Ok(());
        };
        let mut attributes = stored.attributes.clone();
        for attribute in attributes
            .iter_mut()
            .filter(|each| schema::is_name(self.profile, &each.name))
        {
            for value in &mut attribute.values {
                *value = self
                    .reference(&attribute.name, value, must_exist)?
                    .into_bytes();
            }
        }
        if let Some(stored) = self.entries.get_mut(&id) {
            stored.attributes = attributes;
        }
        self.note_references(id);
        Ok(())
    }

    fn reference(
        &self,
        attribute: &str,
        value: &[u8],
        must_exist: bool,
    ) -> Result<String, Refusal> {
        let invalid = || {
            let message = format!("{attribute}: value #0 invalid per syntax");
            Refusal::new(LdapResultCode::InvalidAttributeSyntax, message)
        };
        let name = std::str::from_utf8(value)
            .ok()
            .and_then(|text| self.parse(text).ok())
            .ok_or_else(invalid)?;
        match self.profile {
            Profile::OpenLdap => Ok(self.render(&self.spell(&name))),
            Profile::Ad => match self.find(&name).and_then(|id| self.entries.get(&id)) {
                Some(target) => Ok(self.written(target)),
                None if must_exist && !active_directory::is_unlinked(attribute) => {
                    Err(Refusal::new(
                        LdapResultCode::NoSuchObject,
                        format!(
                            "00000525: NameErr: DSID-031A11EF, problem 2001 (NO_OBJECT), data 0: {attribute}"
                        ),
                    ))
                }
                None => Ok(self.render(&self.spell(&name))),
            },
        }
    }

    /// Applies the steps of a modify request in order, all or none.
    pub(crate) fn modify(
        &mut self,
        dn: &str,
        modifications: &[Modification],
    ) -> Result<(), Refusal> {
        let name = self.parse(dn)?;
        let id = self.existing(&name)?;
        let Some(stored) = self.entries.get(&id) else {
            return Ok(());
        };
        let mut changed = stored.clone();
        for step in modifications {
            self.step(&mut changed, step)?;
        }
        changed.attributes.retain(|each| !each.values.is_empty());
        self.check(&changed)?;
        for ava in changed.dn.0.first().map_or(&[][..], |rdn| &rdn.0) {
            let canonical = self.known(&ava.attribute)?;
            let kept = changed
                .values(&canonical)
                .iter()
                .any(|each| same(self.profile, &canonical, each, ava.value.as_bytes()));
            if !kept && changed.raw.is_none() {
                let message = format!("{canonical}: value of naming attribute may not be removed");
                let code = match self.profile {
                    Profile::OpenLdap => LdapResultCode::NamingViolation,
                    Profile::Ad => LdapResultCode::NotALlowedOnRDN,
                };
                return Err(Refusal::new(code, message));
            }
        }
        self.stamp_changed(&mut changed);
        self.entries.insert(id, changed);
        Ok(())
    }

    fn step(&self, changed: &mut Stored, step: &Modification) -> Result<(), Refusal> {
        let name = self.known(&step.attribute.name)?;
        let linked = self.profile == Profile::Ad && name == "member";
        let mut given = step.attribute.values.clone();
        if schema::is_name(self.profile, &name) {
            let must_exist = step.operation != Operation::Delete;
            for value in &mut given {
                *value = self.reference(&name, value, must_exist)?.into_bytes();
            }
        }
        let at = changed.attributes.iter().position(|each| each.name == name);
        match (step.operation, at) {
            (Operation::Replace, at) => {
                let mut fresh = Attribute {
                    name,
                    values: Vec::new(),
                };
                add_values(self.profile, &mut fresh, &given)?;
                match at.and_then(|at| changed.attributes.get_mut(at)) {
                    Some(attribute) => *attribute = fresh,
                    None => changed.attributes.push(fresh),
                }
            }
            (Operation::Add, at) => {
                let mut attribute = match at {
                    Some(at) => changed.attributes.remove(at),
                    None => Attribute {
                        name,
                        values: Vec::new(),
                    },
                };
                add_values(self.profile, &mut attribute, &given).map_err(|refusal| {
                    // AD reports a member that is one already as an existing entry.
                    if linked && refusal.code == LdapResultCode::AttributeOrValueExists {
                        let message =
                            "00000562: UpdErr: DSID-031A122A, problem 6005 (ENTRY_EXISTS), data 0";
                        return Refusal::new(LdapResultCode::EntryAlreadyExists, message);
                    }
                    refusal
                })?;
                changed.attributes.push(attribute);
            }
            (Operation::Delete, None) => return Err(missing(&name, linked)),
            (Operation::Delete, Some(at)) => {
                let Some(attribute) = changed.attributes.get_mut(at) else {
                    return Err(missing(&name, linked));
                };
                if given.is_empty() {
                    attribute.values.clear();
                }
                for value in &given {
                    let found = attribute
                        .values
                        .iter()
                        .position(|each| same(self.profile, &name, each, value));
                    attribute
                        .values
                        .remove(found.ok_or_else(|| missing(&name, linked))?);
                }
            }
        }
        Ok(())
    }

    /// The canonical name of an attribute that may be written.
    pub(crate) fn known(&self, name: &str) -> Result<String, Refusal> {
        let base = name.split(';').next().unwrap_or_default();
        let known = schema::attribute_type(self.profile, base);
        known.map(|found| name.replacen(base, &found.name, 1)).ok_or_else(|| match self.profile {
            Profile::OpenLdap => {
                Refusal::new(LdapResultCode::UndefinedAttributeType, format!("{name}: attribute type undefined"))
            }
            Profile::Ad => {
                let message = format!(
                    "00000057: LdapErr: DSID-0C090F78, comment: Error in attribute conversion operation, data 0: {name}"
                );
                Refusal::new(LdapResultCode::NoSuchAttribute, message)
            }
        })
    }

    /// Both servers add naming values that the entry lacks.
    fn name_values(&self, stored: &mut Stored, rdn: &Rdn) -> Result<(), Refusal> {
        for ava in &rdn.0 {
            let canonical = self.known(&ava.attribute)?;
            let value = ava.value.as_bytes();
            match entry::find_mut(&mut stored.attributes, &canonical) {
                Some(found)
                    if found
                        .values
                        .iter()
                        .any(|each| same(self.profile, &canonical, each, value)) => {}
                Some(found) if self.profile == Profile::OpenLdap => {
                    found.values.push(value.to_vec());
                }
                _ => stored.set(&canonical, value),
            }
        }
        Ok(())
    }

    fn check(&self, stored: &Stored) -> Result<(), Refusal> {
        if stored.raw.is_some() {
            return Ok(());
        }
        if stored.values("objectClass").is_empty() {
            return Err(Refusal::new(
                LdapResultCode::ObjectClassViolation,
                "no objectClass attribute",
            ));
        }
        if self.profile == Profile::OpenLdap {
            for (class, required) in [
                ("groupOfNames", "member"),
                ("person", "sn"),
                ("inetOrgPerson", "sn"),
            ] {
                if stored.has_class(class) && stored.values(required).is_empty() {
                    let message = format!("object class '{class}' requires attribute '{required}'");
                    return Err(Refusal::new(LdapResultCode::ObjectClassViolation, message));
                }
            }
        }
        for attribute in &stored.attributes {
            let known = schema::attribute_type(self.profile, &attribute.name);
            if attribute.values.len() > 1
                && known.is_some_and(|found| found.single_valued(self.profile))
            {
                let message = format!("attribute '{}' cannot have multiple values", attribute.name);
                return Err(Refusal::new(LdapResultCode::ConstraintViolation, message));
            }
        }
        Ok(())
    }

    fn stamp_new(&mut self, stored: &mut Stored) {
        match self.profile {
            Profile::Ad => active_directory::stamp_new(self, stored),
            Profile::OpenLdap => {
                if stored.values("entryUUID").is_empty() {
                    stored.set("entryUUID", print_uuid(&random_uuid()));
                }
                // The structural class is the most derived one; the generator and slapd's tools give it first.
                let class = stored
                    .values("objectClass")
                    .iter()
                    .find(|each| !is_auxiliary(each))
                    .cloned();
                stored.set("structuralObjectClass", class.unwrap_or_default());
                if stored.values("entryCSN").is_empty() {
                    stored.set("entryCSN", self.changes.next_csn());
                }
                stored.set("createTimestamp", generalized_time(""));
                stored.set("modifyTimestamp", generalized_time(""));
            }
        }
    }

    /// What every write of an entry changes.
    pub(crate) fn stamp_changed(&mut self, stored: &mut Stored) {
        match self.profile {
            Profile::OpenLdap => {
                stored.set("modifyTimestamp", generalized_time(""));
                stored.set("entryCSN", self.changes.next_csn());
            }
            Profile::Ad => {
                self.usn += 1;
                stored.set("uSNChanged", self.usn.to_string());
                stored.set("whenChanged", generalized_time(".0"));
                self.note(stored);
            }
        }
    }

    /// AD keeps references whole: each value that names an entry of `renamed` (key before, name after) follows it, or
    /// goes when there is no name after.
    pub(crate) fn follow(&mut self, renamed: &std::collections::HashMap<String, Option<Dn>>) {
        if self.profile != Profile::Ad {
            return;
        }
        let changed: Vec<(u64, Vec<Attribute>)> = self
            .entries
            .iter()
            .filter_map(|(&id, stored)| {
                self.followed(&stored.attributes, renamed)
                    .map(|attributes| (id, attributes))
            })
            .collect();
        for (id, attributes) in changed {
            if let Some(stored) = self.entries.get_mut(&id) {
                stored.attributes = attributes;
            }
        }
    }

    fn followed(
        &self,
        attributes: &[Attribute],
        renamed: &std::collections::HashMap<String, Option<Dn>>,
    ) -> Option<Vec<Attribute>> {
        let mut out: Option<Vec<Attribute>> = None;
        for (at, attribute) in attributes.iter().enumerate() {
            // Every entry has an objectCategory, and none of those names changes.
            if attribute.name == "objectCategory" || !schema::is_name(self.profile, &attribute.name)
            {
                continue;
            }
            let mut touched = false;
            let mut values = Vec::with_capacity(attribute.values.len());
            for value in &attribute.values {
                let key = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| Dn::parse(text).ok())
                    .map(|name| name.key());
                match key.and_then(|key| renamed.get(&key)) {
                    None => values.push(value.clone()),
                    // A tombstone follows its parent into the container of tombstones.
                    Some(None) if attribute.name == "lastKnownParent" => values.push(value.clone()),
                    Some(after) => {
                        touched = true;
                        values.extend(after.as_ref().map(|name| self.render(name).into_bytes()));
                    }
                }
            }
            if touched {
                let all = out.get_or_insert_with(|| attributes.to_vec());
                if let Some(attribute) = all.get_mut(at) {
                    attribute.values = values;
                }
            }
        }
        out.map(|mut all| {
            all.retain(|each| !each.values.is_empty());
            all
        })
    }
}

/// Now, as generalizedTime (RFC 4517 §3.3.13); AD writes a fraction.
pub(crate) fn generalized_time(fraction: &str) -> String {
    Timestamp::now()
        .strftime(&format!("%Y%m%d%H%M%S{fraction}Z"))
        .to_string()
}

pub(crate) fn random_uuid() -> [u8; 16] {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

/// The printed form of a UUID whose bytes are in printed order.
pub(crate) fn print_uuid(bytes: &[u8; 16]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().concat();
    [
        part(0..4),
        part(4..6),
        part(6..8),
        part(8..10),
        part(10..16),
    ]
    .join("-")
}

fn is_auxiliary(class: &[u8]) -> bool {
    [
        "top",
        "dcObject",
        "person",
        "organizationalPerson",
        "posixAccount",
        "extensibleObject",
    ]
    .iter()
    .any(|each| class.eq_ignore_ascii_case(each.as_bytes()))
}

fn add_values(
    profile: Profile,
    attribute: &mut Attribute,
    given: &[Vec<u8>],
) -> Result<(), Refusal> {
    // Large groups: compare normal forms in a set, not each with each.
    let name = attribute.name.split(';').next().unwrap_or_default();
    let syntax =
        schema::attribute_type(profile, name).map_or(schema::Syntax::Octets, |found| found.syntax);
    let form =
        |value: &Vec<u8>| super::filter::normalize(syntax, value).unwrap_or_else(|| value.clone());
    let mut seen: std::collections::HashSet<Vec<u8>> = attribute.values.iter().map(form).collect();
    for (number, value) in given.iter().enumerate() {
        if !seen.insert(form(value)) {
            let message = format!("{name}: value #{number} already exists");
            return Err(Refusal::new(
                LdapResultCode::AttributeOrValueExists,
                message,
            ));
        }
        attribute.values.push(value.clone());
    }
    Ok(())
}

fn missing(name: &str, linked: bool) -> Refusal {
    if linked {
        let message = "00000561: SvcErr: DSID-031A1254, problem 5003 (WILL_NOT_PERFORM), data 0";
        return Refusal::new(LdapResultCode::UnwillingToPerform, message);
    }
    Refusal::new(
        LdapResultCode::NoSuchAttribute,
        format!("modify/delete: {name}: no such value"),
    )
}
