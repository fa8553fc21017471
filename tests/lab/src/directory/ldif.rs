//! LDIF (RFC 2849): reading and writing entries and change records.
//!
//! Lines are never folded when written; folded input, comments and base64 values are read. `attribute:< url` is refused.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use super::entry::{Attribute, Change, Entry, Modification, Operation};

/// Why LDIF text cannot be read. Numbers are lines of the record, counted from its `dn:`.
#[derive(Debug, Error)]
pub enum LdifError {
    #[error("LDIF record at `{0}`: a record begins with `dn:`")]
    NoDn(String),
    #[error("LDIF record of `{dn}`: `{line}` is not `name: value`")]
    Line { dn: String, line: String },
    #[error("LDIF record of `{dn}`: the base64 value of `{name}` cannot be read")]
    Base64 {
        dn: String,
        name: String,
        #[source]
        source: base64::DecodeError,
    },
    #[error("LDIF record of `{dn}`: `{name}` must be text")]
    NotText { dn: String, name: String },
    #[error("LDIF record of `{dn}`: change type or step `{step}` is unknown or out of place")]
    Step { dn: String, step: String },
}

/// Writes entries, each followed by a blank line.
pub fn write_entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let mut out = String::new();
    for entry in entries {
        line(&mut out, "dn", entry.dn.as_bytes());
        write_attributes(&mut out, &entry.attributes);
        out.push('\n');
    }
    out
}

/// Writes change records as `ldapmodify` takes them.
pub fn write_changes<'a>(changes: impl IntoIterator<Item = &'a Change>) -> String {
    let mut out = String::new();
    for change in changes {
        match change {
            Change::Add(entry) => {
                line(&mut out, "dn", entry.dn.as_bytes());
                out.push_str("changetype: add\n");
                write_attributes(&mut out, &entry.attributes);
            }
            Change::Modify { dn, modifications } => {
                line(&mut out, "dn", dn.as_bytes());
                out.push_str("changetype: modify\n");
                for Modification {
                    operation,
                    attribute,
                } in modifications
                {
                    let word = match operation {
                        Operation::Add => "add",
                        Operation::Delete => "delete",
                        Operation::Replace => "replace",
                    };
                    let _ = writeln!(out, "{word}: {}", attribute.name);
                    write_attributes(&mut out, std::slice::from_ref(attribute));
                    out.push_str("-\n");
                }
            }
            Change::Rename {
                dn,
                new_rdn,
                delete_old_rdn,
                new_superior,
            } => {
                line(&mut out, "dn", dn.as_bytes());
                out.push_str("changetype: modrdn\n");
                line(&mut out, "newrdn", new_rdn.as_bytes());
                let _ = writeln!(out, "deleteoldrdn: {}", u8::from(*delete_old_rdn));
                if let Some(superior) = new_superior {
                    line(&mut out, "newsuperior", superior.as_bytes());
                }
            }
            Change::Delete { dn } => {
                line(&mut out, "dn", dn.as_bytes());
                out.push_str("changetype: delete\n");
            }
        }
        out.push('\n');
    }
    out
}

/// Reads entries and change records; a record without `changetype` is an add.
pub fn read_changes(text: &str) -> Result<Vec<Change>, LdifError> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "");
    unfolded
        .split("\n\n")
        .map(|record| {
            record
                .lines()
                .filter(|each| !each.is_empty() && !each.starts_with('#'))
                .collect::<Vec<_>>()
        })
        .filter(|record| {
            !record.is_empty() && !record.iter().all(|each| each.starts_with("version:"))
        })
        .map(|record| read_record(&record))
        .collect()
}

/// Reads entries only; change records other than adds are refused.
pub fn read_entries(text: &str) -> Result<Vec<Entry>, LdifError> {
    read_changes(text)?
        .into_iter()
        .map(|change| match change {
            Change::Add(entry) => Ok(entry),
            Change::Modify { dn, .. } | Change::Rename { dn, .. } | Change::Delete { dn } => {
                Err(LdifError::Step {
                    dn,
                    step: "changetype".into(),
                })
            }
        })
        .collect()
}

fn read_record(lines: &[&str]) -> Result<Change, LdifError> {
    let mut lines = lines
        .iter()
        .copied()
        .filter(|each| !each.starts_with("version:"))
        .peekable();
    let first = lines.next().unwrap_or_default();
    let (name, dn) = pair("", first)?;
    if !name.eq_ignore_ascii_case("dn") {
        return Err(LdifError::NoDn(first.to_owned()));
    }
    let dn = utf8("", "dn", dn)?;
    let change_type = match lines.peek().map(|each| pair(&dn, each)).transpose()? {
        Some((name, value)) if name.eq_ignore_ascii_case("changetype") => {
            lines.next();
            utf8(&dn, "changetype", value)?
        }
        _ => "add".into(),
    };
    match change_type.as_str() {
        "add" => {
            let mut entry = Entry::new(&*dn);
            for each in lines {
                let (name, value) = pair(&dn, each)?;
                entry.push(&name, value);
            }
            Ok(Change::Add(entry))
        }
        "delete" => Ok(Change::Delete { dn }),
        "modify" => Ok(Change::Modify {
            modifications: read_modifications(&dn, lines)?,
            dn,
        }),
        "modrdn" | "moddn" => {
            let (mut new_rdn, mut delete_old_rdn, mut new_superior) = (None, true, None);
            for each in lines {
                let (name, value) = pair(&dn, each)?;
                let value = utf8(&dn, &name, value)?;
                match name.to_ascii_lowercase().as_str() {
                    "newrdn" => new_rdn = Some(value),
                    "deleteoldrdn" => delete_old_rdn = value == "1",
                    "newsuperior" => new_superior = Some(value),
                    _ => return Err(LdifError::Step { dn, step: name }),
                }
            }
            let Some(new_rdn) = new_rdn else {
                return Err(LdifError::Step {
                    dn,
                    step: change_type,
                });
            };
            Ok(Change::Rename {
                dn,
                new_rdn,
                delete_old_rdn,
                new_superior,
            })
        }
        _ => Err(LdifError::Step {
            dn,
            step: change_type,
        }),
    }
}

fn read_modifications<'a>(
    dn: &str,
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<Modification>, LdifError> {
    let mut modifications: Vec<Modification> = Vec::new();
    let mut open = false;
    for each in lines {
        if each == "-" {
            open = false;
            continue;
        }
        let (name, value) = pair(dn, each)?;
        if let Some(last) = modifications.last_mut().filter(|_| open) {
            last.attribute.values.push(value);
        } else {
            let operation = match name.as_str() {
                "add" => Operation::Add,
                "delete" => Operation::Delete,
                "replace" => Operation::Replace,
                _ => {
                    return Err(LdifError::Step {
                        dn: dn.to_owned(),
                        step: name,
                    });
                }
            };
            let attribute = Attribute {
                name: utf8(dn, &name, value)?,
                values: Vec::new(),
            };
            modifications.push(Modification {
                operation,
                attribute,
            });
            open = true;
        }
    }
    Ok(modifications)
}

fn pair(dn: &str, text: &str) -> Result<(String, Vec<u8>), LdifError> {
    let bad = || LdifError::Line {
        dn: dn.to_owned(),
        line: text.to_owned(),
    };
    let (name, rest) = text.split_once(':').ok_or_else(bad)?;
    if name.is_empty() || rest.starts_with('<') {
        return Err(bad());
    }
    match rest.strip_prefix(':') {
        None => Ok((
            name.to_owned(),
            rest.trim_start_matches(' ').as_bytes().to_vec(),
        )),
        Some(encoded) => {
            let value = STANDARD
                .decode(encoded.trim())
                .map_err(|source| LdifError::Base64 {
                    dn: dn.to_owned(),
                    name: name.to_owned(),
                    source,
                })?;
            Ok((name.to_owned(), value))
        }
    }
}

fn utf8(dn: &str, name: &str, value: Vec<u8>) -> Result<String, LdifError> {
    String::from_utf8(value).map_err(|_| LdifError::NotText {
        dn: dn.to_owned(),
        name: name.to_owned(),
    })
}

fn write_attributes(out: &mut String, attributes: &[Attribute]) {
    for attribute in attributes {
        for value in &attribute.values {
            line(out, &attribute.name, value);
        }
    }
}

/// SAFE-STRING as `ldapsearch` decides it: printable ASCII, no leading space, colon or `<`, no trailing space.
fn line(out: &mut String, name: &str, value: &[u8]) {
    let safe = !value
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b':' | b'<'))
        && value.last() != Some(&b' ')
        && value.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    let _ = if safe {
        writeln!(out, "{name}: {}", String::from_utf8_lossy(value))
    } else {
        writeln!(out, "{name}:: {}", STANDARD.encode(value))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let changes = vec![
            Change::Add(
                Entry::new("cn=Zoë,dc=x")
                    .with("cn", "Zoë")
                    .with("jpegPhoto", vec![0, 255])
                    .with("sn", " x "),
            ),
            Change::Modify {
                dn: "cn=a,dc=x".into(),
                modifications: vec![
                    Modification::replace("title", ["<b>"]),
                    Modification::add("member", "cn=ü"),
                    Modification {
                        operation: Operation::Delete,
                        attribute: Attribute::new("l", [""; 0]),
                    },
                ],
            },
            Change::Rename {
                dn: "cn=a,dc=x".into(),
                new_rdn: "cn=b".into(),
                delete_old_rdn: true,
                new_superior: Some("ou=é,dc=x".into()),
            },
            Change::Delete {
                dn: "cn=b,dc=x".into(),
            },
        ];
        assert_eq!(read_changes(&write_changes(&changes)).unwrap(), changes);
    }

    #[test]
    fn folded_lines_and_comments_are_read_and_nonsense_is_refused() {
        let entries = read_entries(
            "version: 1\n\n# note\ndn: cn=a,\n dc=x\ncn: a\ndescription: one\n  two\n\n\n",
        )
        .unwrap();
        assert_eq!(
            entries,
            vec![
                Entry::new("cn=a,dc=x")
                    .with("cn", "a")
                    .with("description", "one two")
            ]
        );
        for bad in [
            "cn: a\n",
            "dn: cn=a\nnonsense\n",
            "dn: cn=a\nphoto:: *\n",
            "dn: cn=a\nchangetype: fly\n",
            "dn: cn=a\nphoto:< file:///x\n",
        ] {
            assert!(read_changes(bad).is_err(), "{bad}");
        }
    }
}
