//! Which attributes of an entry are sent (RFC 4511 §4.5.1.8, RFC 3673) and, for AD, in which range of values.

use ldap3_proto::proto::LdapPartialAttribute;

use super::Profile;
use super::entry::Attribute;
use super::range::{self, Range};
use super::schema::{self, Usage};

#[derive(Debug, Clone)]
struct Wanted {
    base: String,
    options: Vec<String>,
    range: Option<Range>,
}

/// The attribute list of a search request, read.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    profile: Profile,
    user: bool,
    operational: bool,
    named: Vec<Wanted>,
    types_only: bool,
}

impl Selection {
    pub(crate) fn new(profile: Profile, attributes: &[String], types_only: bool) -> Self {
        let mut selection = Self {
            profile,
            user: attributes.is_empty(),
            operational: false,
            named: Vec::new(),
            types_only,
        };
        for each in attributes {
            match each.as_str() {
                "*" => selection.user = true,
                "+" => selection.operational = true,
                "1.1" => {}
                name => {
                    let mut parts = name.split(';');
                    let base = parts.next().unwrap_or_default();
                    let known = schema::attribute_type(profile, base);
                    let base = known.map_or_else(|| base.to_owned(), |known| known.name.clone());
                    let (mut options, mut range) = (Vec::new(), None);
                    for option in parts {
                        match Range::parse(option).filter(|_| profile == Profile::Ad) {
                            Some(found) => range = Some(found),
                            None => options.push(option.to_ascii_lowercase()),
                        }
                    }
                    selection.named.push(Wanted {
                        base,
                        options,
                        range,
                    });
                }
            }
        }
        selection
    }

    /// The wanted attributes of an entry, in its order.
    pub(crate) fn pick(&self, attributes: Vec<Attribute>) -> Vec<LdapPartialAttribute> {
        let mut out = Vec::new();
        for attribute in attributes {
            let (wanted, range) = self.wants(&attribute.name);
            if !wanted {
                continue;
            }
            if self.types_only {
                out.push(LdapPartialAttribute {
                    atype: attribute.name,
                    vals: Vec::new(),
                });
            } else if self.profile == Profile::Ad {
                range::answer(attribute, range, &mut out);
            } else {
                out.push(LdapPartialAttribute {
                    atype: attribute.name,
                    vals: attribute.values,
                });
            }
        }
        out
    }

    /// The wanted attributes of an entry that is made, not kept: its class of attributes is told, not looked up.
    pub(crate) fn pick_synthetic(
        &self,
        attributes: Vec<Attribute>,
        operational: bool,
    ) -> Vec<LdapPartialAttribute> {
        let by_class = if operational {
            self.operational
        } else {
            self.user
        };
        let named = |name: &str| {
            self.named
                .iter()
                .any(|each| each.base.eq_ignore_ascii_case(name))
        };
        attributes
            .into_iter()
            .filter(|each| by_class || named(&each.name))
            .map(|each| LdapPartialAttribute {
                vals: if self.types_only {
                    Vec::new()
                } else {
                    each.values
                },
                atype: each.name,
            })
            .collect()
    }

    /// Whether an attribute is asked for, by name or by its class.
    pub(crate) fn includes(&self, name: &str) -> bool {
        self.wants(name).0
    }

    fn wants(&self, name: &str) -> (bool, Option<Range>) {
        let mut parts = name.split(';');
        let base = parts.next().unwrap_or_default();
        let options: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let named = self.named.iter().find(|each| {
            each.base.eq_ignore_ascii_case(base)
                && each.options.iter().all(|option| options.contains(option))
        });
        if let Some(named) = named {
            return (true, named.range);
        }
        let usage =
            schema::attribute_type(self.profile, base).map_or(Usage::User, |known| known.usage);
        let by_class = match usage {
            Usage::User => self.user,
            Usage::Operational => self.operational,
        };
        (by_class, None)
    }
}
