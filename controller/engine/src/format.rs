//! The form that some values at a target must have beyond their length, as Microsoft Graph documents it for its properties.
//!
//! Checked before anything is sent, so that a person reads which attribute is at fault and not an answer of the service.

use thiserror::Error;

/// The form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `alias@domain`: at most 113 characters, 64 before the `@`, 48 after; `A-Z a-z 0-9 ' . - _ ! # ^ ~`; no `.` before the `@`.
    UserPrincipalName,
    /// ASCII without `@ ( ) \ [ ] " ; : < > ,` and space, at most 64.
    MailNickname,
    /// An SMTP address without accents.
    Mail,
    /// ISO 3166-1 alpha-2: two capital letters.
    CountryCode,
    /// An RFC 5646 language with an optional region, such as `en-US`.
    Language,
}

/// How a text breaks its format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    #[error("has no `@` with a name before it and a domain after it")]
    At,
    #[error("has more than one `@`")]
    ManyAts,
    #[error("has {length} characters {part}, the limit is {limit}")]
    Length {
        part: &'static str,
        length: usize,
        limit: usize,
    },
    #[error("has a `.` right before the `@`")]
    DotBeforeAt,
    #[error("has the character {0:?} at position {1}, which is not allowed")]
    Character(char, usize),
    #[error("is no domain name after the `@`")]
    Domain,
    #[error("is no country code of two capital letters, such as `DE`")]
    CountryCode,
    #[error("is no language such as `en-US`")]
    Language,
}

impl Format {
    /// Says what is wrong with the text, without repeating it.
    pub fn check(self, text: &str) -> Result<(), FormatError> {
        match self {
            Self::UserPrincipalName => user_principal_name(text),
            Self::MailNickname => {
                characters(text, is_nickname_character)?;
                length("", text, 64)
            }
            Self::Mail => {
                characters(text, |c| c.is_ascii_graphic())?;
                split(text).map(|_| ())
            }
            Self::CountryCode => match text.as_bytes() {
                [b'A'..=b'Z', b'A'..=b'Z'] => Ok(()),
                _ => Err(FormatError::CountryCode),
            },
            Self::Language => language(text),
        }
    }
}

/// Whether Graph takes the character in a `mailNickname`.
pub(crate) fn is_nickname_character(c: char) -> bool {
    c.is_ascii_graphic() && !r#"@()\[]";:<>,"#.contains(c)
}

fn user_principal_name(text: &str) -> Result<(), FormatError> {
    characters(text, |c| {
        c.is_ascii_alphanumeric() || "'.-_!#^~@".contains(c)
    })?;
    let (alias, domain) = split(text)?;
    if alias.ends_with('.') {
        return Err(FormatError::DotBeforeAt);
    }
    length("before the `@`", alias, 64)?;
    length("after the `@`", domain, 48)?;
    if domain.split('.').any(str::is_empty) || !domain.contains('.') {
        return Err(FormatError::Domain);
    }
    characters(domain, |c| {
        c.is_ascii_alphanumeric() || c == '.' || c == '-'
    })
    .map_err(|_| FormatError::Domain)
}

fn split(text: &str) -> Result<(&str, &str), FormatError> {
    let (alias, domain) = text.split_once('@').ok_or(FormatError::At)?;
    if domain.contains('@') {
        return Err(FormatError::ManyAts);
    }
    if alias.is_empty() || domain.is_empty() {
        return Err(FormatError::At);
    }
    Ok((alias, domain))
}

fn characters(text: &str, allowed: impl Fn(char) -> bool) -> Result<(), FormatError> {
    match text.chars().enumerate().find(|(_, c)| !allowed(*c)) {
        Some((at, c)) => Err(FormatError::Character(c, at + 1)),
        None => Ok(()),
    }
}

fn length(part: &'static str, text: &str, limit: usize) -> Result<(), FormatError> {
    let length = text.chars().count();
    if length > limit {
        return Err(FormatError::Length {
            part,
            length,
            limit,
        });
    }
    Ok(())
}

fn language(text: &str) -> Result<(), FormatError> {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    let valid = (2..=3).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    if valid {
        Ok(())
    } else {
        Err(FormatError::Language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_names_keep_to_the_documented_characters_and_lengths() {
        let check = |text: &str| Format::UserPrincipalName.check(text);
        for good in [
            "a@b.example",
            "o'neil.j-d_x!#^~9@corp.example.com",
            &format!("{}@corp.example", "a".repeat(64)),
            &format!("a@{}.example", "d".repeat(40)),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", FormatError::At),
            ("a", FormatError::At),
            ("@b.example", FormatError::At),
            ("a@", FormatError::At),
            ("a@b@c.example", FormatError::ManyAts),
            ("a.@b.example", FormatError::DotBeforeAt),
            ("é@b.example", FormatError::Character('é', 1)),
            ("a b@b.example", FormatError::Character(' ', 2)),
            ("a+b@b.example", FormatError::Character('+', 2)),
            ("a@b_c.example", FormatError::Domain),
            ("a@b..example", FormatError::Domain),
            ("a@localhost", FormatError::Domain),
        ] {
            assert_eq!(check(bad), Err(error), "{bad}");
        }
        assert_eq!(
            check(&format!("{}@b.example", "a".repeat(65))),
            Err(FormatError::Length {
                part: "before the `@`",
                length: 65,
                limit: 64
            })
        );
        assert_eq!(
            check(&format!("a@{}.example", "d".repeat(41))),
            Err(FormatError::Length {
                part: "after the `@`",
                length: 49,
                limit: 48
            })
        );
    }

    #[test]
    fn other_formats_refuse_what_graph_refuses() {
        for (format, good, bad) in [
            (Format::MailNickname, "r&d.team-1'x", "r d"),
            (Format::MailNickname, "a", "équipe"),
            (Format::Mail, "a+b@b.example", "ä@b.example"),
            (Format::Mail, "a@b", "a"),
            (Format::CountryCode, "DE", "de"),
            (Format::CountryCode, "US", "USA"),
            (Format::Language, "en-US", "en_US"),
            (Format::Language, "de", "german, english"),
            (Format::Language, "zh-Hans-CN", "e"),
        ] {
            assert_eq!(format.check(good), Ok(()), "{good}");
            assert!(format.check(bad).is_err(), "{bad}");
        }
        for forbidden in "@()\\[]\";:<>, ".chars() {
            assert!(
                Format::MailNickname
                    .check(&format!("a{forbidden}"))
                    .is_err()
            );
        }
    }
}
