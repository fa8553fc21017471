//! The RFC 4514 grammar, from text to the canonical text of [`super::Dn`].
//!
//! Beyond the grammar, spaces around `,`, `+` and `=` and the prefix `OID.` are accepted, as RFC 2253 §4 asks for.

use super::{DnError, DnProblem, fold};

/// Names that mean the same attribute type: RFC 4514 §3 with its OIDs, and the long names of RFC 4519.
const TYPE_NAMES: &[(&str, &str)] = &[
    ("0.9.2342.19200300.100.1.1", "uid"),
    ("0.9.2342.19200300.100.1.25", "dc"),
    ("2.5.4.10", "o"),
    ("2.5.4.11", "ou"),
    ("2.5.4.3", "cn"),
    ("2.5.4.4", "sn"),
    ("2.5.4.6", "c"),
    ("2.5.4.7", "l"),
    ("2.5.4.8", "st"),
    ("2.5.4.9", "street"),
    ("commonname", "cn"),
    ("countryname", "c"),
    ("domaincomponent", "dc"),
    ("localityname", "l"),
    ("organizationalunitname", "ou"),
    ("organizationname", "o"),
    ("stateorprovincename", "st"),
    ("streetaddress", "street"),
    ("surname", "sn"),
    ("userid", "uid"),
];

pub(super) fn canonical(text: &str) -> Result<String, DnError> {
    usual(text).map_or_else(|| of_any(text), Ok)
}

/// Of most DNs that there are, in one pass: plain ASCII with nothing escaped, and no space where none belongs.
fn usual(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" -_.@'()/&:".contains(&byte);
    let mut canonical = String::with_capacity(text.len());
    for rdn in text.split(',') {
        let (kind, value) = rdn.split_once('=')?;
        let spaced = value.starts_with(' ') || value.ends_with(' ') || value.contains("  ");
        if kind.is_empty()
            || !kind.bytes().all(|byte| byte.is_ascii_alphabetic())
            || value.is_empty()
            || spaced
            || !value.bytes().all(plain)
        {
            return None;
        }
        if !canonical.is_empty() {
            canonical.push(',');
        }
        let start = canonical.len();
        let lower = |text: &str, into: &mut String| {
            into.extend(text.chars().map(|letter| letter.to_ascii_lowercase()));
        };
        lower(kind, &mut canonical);
        let mut names = TYPE_NAMES.iter();
        if let Some((_, known)) = names.find(|(alias, _)| *alias == &canonical[start..]) {
            canonical.truncate(start);
            canonical.push_str(known);
        }
        canonical.push('=');
        lower(value, &mut canonical);
    }
    Some(canonical)
}

fn of_any(text: &str) -> Result<String, DnError> {
    let mut parser = Parser { text, at: 0 };
    parser.skip_spaces();
    let mut canonical = String::with_capacity(text.len());
    if parser.peek().is_none() {
        return Ok(canonical);
    }
    loop {
        let mut pairs = vec![parser.pair()?];
        while parser.take(b'+') {
            pairs.push(parser.pair()?);
        }
        pairs.sort();
        pairs.dedup();
        canonical.push_str(&pairs.join("+"));
        if !parser.take(b',') {
            break;
        }
        canonical.push(',');
    }
    match parser.peek() {
        None => Ok(canonical),
        Some(_) => parser.fail(DnProblem::Unescaped),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, problem: DnProblem) -> Result<T, DnError> {
        Err(DnError {
            position: self.at,
            problem,
        })
    }

    /// `type=value`, with the value folded and escaped.
    fn pair(&mut self) -> Result<String, DnError> {
        self.skip_spaces();
        let mut pair = self.attribute_type()?;
        self.skip_spaces();
        if !self.take(b'=') {
            return self.fail(DnProblem::Equals);
        }
        self.skip_spaces();
        let value = if self.take(b'#') {
            self.hex_value()?
        } else {
            self.text_value()?
        };
        pair.push('=');
        match std::str::from_utf8(&value) {
            Ok(text) => escape(&fold(text), &mut pair),
            Err(_) => value.iter().for_each(|byte| push_escaped(*byte, &mut pair)),
        }
        Ok(pair)
    }

    fn attribute_type(&mut self) -> Result<String, DnError> {
        let start = self.at;
        while matches!(self.peek(), Some(b) if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        {
            self.at += 1;
        }
        let lower = self
            .text
            .get(start..self.at)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let name = lower.strip_prefix("oid.").unwrap_or(&lower);
        let is_oid = name.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && name.split('.').all(|arc| !arc.is_empty());
        let is_descriptor =
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains('.');
        if !is_oid && !is_descriptor {
            self.at = start;
            return self.fail(DnProblem::Type);
        }
        let known = TYPE_NAMES.iter().find(|(alias, _)| *alias == name);
        Ok(known.map_or(name, |(_, known)| *known).to_owned())
    }

    /// Everything up to the next separator, escapes undone.
    fn text_value(&mut self) -> Result<Vec<u8>, DnError> {
        let mut value = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b'+' => break,
                b'\\' => value.push(self.escaped()?),
                b'"' | b';' | b'<' | b'>' | 0 => return self.fail(DnProblem::Unescaped),
                _ => {
                    value.push(byte);
                    self.at += 1;
                }
            }
        }
        Ok(value)
    }

    fn escaped(&mut self) -> Result<u8, DnError> {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        if let [high, low, ..] = rest
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            self.at += 3;
            return Ok(high * 16 + low);
        }
        match rest.first() {
            Some(&byte) if byte.is_ascii_punctuation() || byte == b' ' => {
                self.at += 2;
                Ok(byte)
            }
            _ => self.fail(DnProblem::Escape),
        }
    }

    /// The hexadecimal BER of a value: strings and octet strings are the value that they hold, anything else is itself.
    fn hex_value(&mut self) -> Result<Vec<u8>, DnError> {
        let start = self.at;
        let mut bytes = Vec::new();
        while let Some(high) = self.peek().and_then(hex_digit) {
            let low = self.text.as_bytes().get(self.at + 1).copied();
            let Some(low) = low.and_then(hex_digit) else {
                return self.fail(DnProblem::Hex);
            };
            bytes.push(high * 16 + low);
            self.at += 2;
        }
        self.skip_spaces();
        if !matches!(self.peek(), None | Some(b',' | b'+')) {
            return self.fail(DnProblem::Hex);
        }
        // OCTET STRING, UTF8String, PrintableString, IA5String with a short length.
        match bytes.as_slice() {
            [0x04 | 0x0c | 0x13 | 0x16, length, value @ ..]
                if usize::from(*length) == value.len() && *length < 0x80 =>
            {
                Ok(value.to_vec())
            }
            [_, _, ..] => {
                let digits = self.text.get(start..self.at).unwrap_or_default().trim_end();
                Ok(format!("#{digits}").into_bytes())
            }
            _ => self.fail(DnProblem::Hex),
        }
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn escape(value: &str, into: &mut String) {
    for c in value.chars() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '#' | '\0'..='\x1f' | '\x7f' => {
                push_escaped(c as u8, into);
            }
            _ => into.push(c),
        }
    }
}

fn push_escaped(byte: u8, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.push('\\');
    into.push(DIGITS[usize::from(byte >> 4)].into());
    into.push(DIGITS[usize::from(byte & 15)].into());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_dn_is_what_any_dn_is(
            text in r"((OU|userId|cn|commonName|2\.5\.4\.3|) ?=[ a-zA-Z0-9.@'#+ß\\=-]{0,6},? ?){0,4}",
        ) {
            if let Some(usual) = usual(&text) {
                prop_assert_eq!(Ok(usual), of_any(&text), "{}", text);
            }
        }
    }

    #[test]
    fn most_dns_are_usual() {
        let text = "UID=Ada.Lovelace,organizationalUnitName=R & D (Bonn),DC=corp,dc=Example";
        let usual = usual(text);
        assert_eq!(
            usual.as_deref(),
            Some("uid=ada.lovelace,ou=r & d (bonn),dc=corp,dc=example")
        );
        for text in [
            "",
            "cn=a\\,b",
            "cn= a",
            "cn=a  b",
            "cn=#0401",
            "2.5.4.3=a",
            "cn=ä",
            "cn=",
            "cn=a+ou=b",
        ] {
            assert_eq!(super::usual(text), None, "{text}");
        }
    }
}
