//! An entry as a client sees it: stored attributes and those that are computed at the moment of reading.

use super::Profile;
use super::dn::Dn;
use super::entry::Attribute;
use super::filter::Subject;
use super::links::Links;
use super::schema;
use super::store::{Store, Stored};

const COMPUTED_OPENLDAP: &[&str] = &[
    "entryDN",
    "subschemaSubentry",
    "hasSubordinates",
    "contextCSN",
];
const COMPUTED_AD: &[&str] = &[
    "name",
    "distinguishedName",
    "memberOf",
    "directReports",
    "managedObjects",
    "parentGUID",
];

/// One entry with what is needed to compute its attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) store: &'a Store,
    pub(crate) links: &'a Links,
    pub(crate) id: u64,
    pub(crate) stored: &'a Stored,
}

impl View<'_> {
    /// All attributes, computed ones last.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = self.stored.attributes.clone();
        if self.stored.raw.is_none() {
            for name in self.computed_names() {
                let values = self.values(name);
                if !values.is_empty() {
                    attributes.push(Attribute::new(name, values));
                }
            }
        }
        attributes
    }

    fn computed_names(&self) -> &'static [&'static str] {
        match self.store.profile {
            Profile::OpenLdap => COMPUTED_OPENLDAP,
            Profile::Ad => COMPUTED_AD,
        }
    }

    fn computed(&self, attribute: &str) -> Vec<Vec<u8>> {
        let text = |value: String| vec![value.into_bytes()];
        match attribute {
            "entryDN" | "distinguishedName" => text(self.store.written(self.stored)),
            "subschemaSubentry" => text("cn=Subschema".into()),
            "hasSubordinates" => text(
                if self.store.has_children(self.id) {
                    "TRUE"
                } else {
                    "FALSE"
                }
                .into(),
            ),
            "contextCSN" if self.stored.parent.is_none() => text(self.store.changes.csn.clone()),
            "contextCSN" => Vec::new(),
            "name" => {
                let ava = self.stored.dn.0.first().and_then(|rdn| rdn.0.first());
                ava.map(|ava| vec![ava.value.clone().into_bytes()])
                    .unwrap_or_default()
            }
            "parentGUID" => {
                let parent = self
                    .stored
                    .parent
                    .and_then(|id| self.store.entries.get(&id));
                parent
                    .map(|parent| parent.values("objectGUID").to_vec())
                    .unwrap_or_default()
            }
            backward => self
                .links
                .targets(backward, self.id)
                .iter()
                .filter_map(|id| self.store.entries.get(id))
                .map(|each| self.store.written(each).into_bytes())
                .collect(),
        }
    }
}

impl Subject for View<'_> {
    fn values(&self, attribute: &str) -> Vec<Vec<u8>> {
        if self.stored.raw.is_none() && self.computed_names().contains(&attribute) {
            return self.computed(attribute);
        }
        let tagged = self.stored.attributes.iter().filter(|each| {
            each.name.split(';').next().is_some_and(|base| {
                schema::attribute_type(self.store.profile, base)
                    .is_some_and(|known| known.name == attribute)
            })
        });
        let mut values: Vec<Vec<u8>> = tagged
            .flat_map(|each| each.values.iter().cloned())
            .collect();
        // AD keeps the whole chain of classes, slapd knows it from the schema.
        if attribute == "objectClass" && self.store.profile == Profile::OpenLdap {
            let above = values
                .iter()
                .filter_map(|class| std::str::from_utf8(class).ok());
            let above: Vec<&str> = above.flat_map(schema::superclasses).copied().collect();
            values.extend(above.into_iter().map(|class| class.as_bytes().to_vec()));
        }
        values
    }

    fn reaches(&self, attribute: &str, target: &Dn) -> bool {
        let known =
            attribute == "member" || attribute == "manager" || Links::is_backward(attribute);
        let target = self.store.find(target);
        known && target.is_some_and(|target| self.links.reaches(attribute, self.id, target))
    }
}
