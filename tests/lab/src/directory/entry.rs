//! Entries and changes as values: what the generator makes, LDIF carries and the embedded directory applies.

/// An attribute with its values as bytes, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub values: Vec<Vec<u8>>,
}

/// A directory entry: its name as written and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub dn: String,
    pub attributes: Vec<Attribute>,
}

/// What a modification does to one attribute (RFC 4511 §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Add,
    Delete,
    Replace,
}

/// One step of a modify request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modification {
    pub operation: Operation,
    pub attribute: Attribute,
}

/// One change of a directory, as an LDIF change record says it (RFC 2849).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Add(Entry),
    Modify {
        dn: String,
        modifications: Vec<Modification>,
    },
    Rename {
        dn: String,
        new_rdn: String,
        delete_old_rdn: bool,
        new_superior: Option<String>,
    },
    Delete {
        dn: String,
    },
}

impl Attribute {
    /// An attribute of the given values.
    pub fn new<V: Into<Vec<u8>>>(name: &str, values: impl IntoIterator<Item = V>) -> Self {
        Self {
            name: name.to_owned(),
            values: values.into_iter().map(Into::into).collect(),
        }
    }
}

impl Entry {
    /// An entry without attributes.
    pub fn new(dn: impl Into<String>) -> Self {
        Self {
            dn: dn.into(),
            attributes: Vec::new(),
        }
    }

    /// The same entry with one value more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.push(name, value);
        self
    }

    /// Adds one value.
    pub fn push(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        match find_mut(&mut self.attributes, name) {
            Some(attribute) => attribute.values.push(value.into()),
            None => self.attributes.push(Attribute::new(name, [value])),
        }
    }

    /// The values of an attribute; none when it is absent. Names ignore ASCII case.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        values(&self.attributes, name)
    }

    /// The first value as text, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values(name)
            .first()
            .and_then(|value| std::str::from_utf8(value).ok())
    }
}

impl Modification {
    /// Replaces an attribute; no value removes it.
    pub fn replace<V: Into<Vec<u8>>>(name: &str, values: impl IntoIterator<Item = V>) -> Self {
        Self {
            operation: Operation::Replace,
            attribute: Attribute::new(name, values),
        }
    }

    /// Adds one value.
    pub fn add(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self {
            operation: Operation::Add,
            attribute: Attribute::new(name, [value]),
        }
    }

    /// Removes one value.
    pub fn delete(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self {
            operation: Operation::Delete,
            attribute: Attribute::new(name, [value]),
        }
    }
}

pub(crate) fn values<'a>(attributes: &'a [Attribute], name: &str) -> &'a [Vec<u8>] {
    attributes
        .iter()
        .find(|each| each.name.eq_ignore_ascii_case(name))
        .map_or(&[], |each| &each.values)
}

pub(crate) fn find_mut<'a>(
    attributes: &'a mut [Attribute],
    name: &str,
) -> Option<&'a mut Attribute> {
    attributes
        .iter_mut()
        .find(|each| each.name.eq_ignore_ascii_case(name))
}
