//! Attribute options and ranged values: `member;range=0-1499` of Active Directory (MS-ADTS 3.1.1.3.1.3.3).
//!
//! A range is fetched on until its answer ends in `*`, by what the answer says, never by what was asked. A gap, a wrong
//! count or a standstill is an error: a shorter list would remove members.

use plumbline_engine::entry::Attributes;
use thiserror::Error;

use crate::decode::RawEntry;

/// Why a ranged attribute could not be completed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RangeError {
    #[error("the server's range `{0}` cannot be understood")]
    Malformed(String),
    #[error("value {expected} was due, but the server's range begins at {start}")]
    Gap { expected: usize, start: usize },
    #[error("the server announced {announced} values and sent {sent}")]
    WrongCount { announced: usize, sent: usize },
    #[error("the server stopped before the end, at value {0}")]
    Standstill(usize),
    #[error("the entry changed at every attempt to read it")]
    NeverStill,
}

/// An attribute description taken apart (RFC 4512 §2.5).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Description<'a> {
    /// The attribute itself, or its `;binary` form.
    Plain(&'a str),
    Ranged(&'a str, Range),
    /// A subtype (`;lang-de`, …), which is not what was asked for.
    Subtype,
}

/// Positions of the values sent, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: usize,
    /// The last position; `None` when it is the last of all.
    pub(crate) end: Option<usize>,
}

/// Takes an attribute description apart.
pub(crate) fn description(text: &str) -> Result<Description<'_>, RangeError> {
    if !text.contains(';') {
        return Ok(Description::Plain(text));
    }
    let mut parts = text.split(';');
    let name = parts.next().unwrap_or_default();
    let mut range = None;
    for option in parts {
        let lower = option.to_ascii_lowercase();
        if let Some(bounds) = lower.strip_prefix("range=") {
            range = Some(parse(bounds).ok_or_else(|| RangeError::Malformed(option.to_owned()))?);
        } else if lower != "binary" {
            return Ok(Description::Subtype);
        }
    }
    Ok(match range {
        Some(range) => Description::Ranged(name, range),
        None => Description::Plain(name),
    })
}

fn parse(bounds: &str) -> Option<Range> {
    let (start, end) = bounds.split_once('-')?;
    let start = number(start)?;
    let end = match end {
        "*" => None,
        end => Some(number(end).filter(|end| *end >= start)?),
    };
    Some(Range { start, end })
}

fn number(digits: &str) -> Option<usize> {
    // `parse` alone would take "+5".
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The values of one attribute, gathered range by range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ranged {
    pub(crate) name: String,
    pub(crate) values: Vec<Vec<u8>>,
    pub(crate) complete: bool,
}

impl Ranged {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: Vec::new(),
            complete: false,
        }
    }

    /// The description to ask for next.
    pub(crate) fn ask(&self) -> String {
        format!("{};range={}-*", self.name, self.values.len())
    }

    /// Adds the values of one answer.
    pub(crate) fn add(&mut self, range: Range, values: Vec<Vec<u8>>) -> Result<(), RangeError> {
        let expected = self.values.len();
        if range.start != expected {
            return Err(RangeError::Gap {
                expected,
                start: range.start,
            });
        }
        if let Some(end) = range.end {
            // No overflow: `parse` saw to `end >= start`, and a list of usize::MAX values cannot have arrived.
            let announced = (end - range.start).saturating_add(1);
            if announced != values.len() {
                return Err(RangeError::WrongCount {
                    announced,
                    sent: values.len(),
                });
            }
        }
        self.complete = range.end.is_none();
        self.values.extend(values);
        Ok(())
    }
}

/// An entry's attributes without their options, and those that are to be fetched on.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) attributes: Attributes,
    pub(crate) ranged: Vec<Ranged>,
}

/// Sorts out the options of an entry's attributes. The error names the attribute.
pub(crate) fn assemble(entry: RawEntry) -> Result<(Vec<u8>, Assembled), (String, RangeError)> {
    let mut assembled = Assembled {
        attributes: Attributes::with_capacity(entry.attributes.len()),
        ranged: Vec::new(),
    };
    for (text, values) in entry.attributes {
        match description(&text).map_err(|error| (text.clone(), error))? {
            Description::Plain(name) => assembled.attributes.add(name, values),
            Description::Subtype => {}
            Description::Ranged(name, range) => {
                let mut ranged = Ranged::new(name);
                ranged
                    .add(range, values)
                    .map_err(|error| (text.clone(), error))?;
                if ranged.complete {
                    assembled.attributes.add(name, ranged.values);
                } else {
                    assembled.ranged.push(ranged);
                }
            }
        }
    }
    Ok((entry.dn, assembled))
}

#[cfg(test)]
mod tests;
