//! The query part of a URL: `$select`, `$top`, `$expand` and the `$filter` forms a sync uses (fact sheet §2.1).
//!
//! `+` decodes to a space, so a base64 anchor that was not percent-encoded finds nothing, as at the service. What needs
//! an advanced query is refused as the service refuses it without the `ConsistencyLevel` header.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer::Answer;
use super::store::{Kind, Version};

/// Decodes `%XX`; `None` for broken escapes or bytes that are no UTF-8.
pub(super) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) options: BTreeMap<String, String>,
}

impl Query {
    pub(super) fn parse(raw: &str) -> Option<Self> {
        let mut options = BTreeMap::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.insert(decode(name, true)?, decode(value, true)?);
        }
        Some(Self { options })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    pub(super) fn select(&self) -> Option<Vec<String>> {
        self.get("$select").map(split_list)
    }

    pub(super) fn top(&self) -> Result<Option<usize>, Answer> {
        let Some(text) = self.get("$top") else {
            return Ok(None);
        };
        match text.parse() {
            Ok(top) if (1..=999).contains(&top) => Ok(Some(top)),
            _ => Err(Answer::bad_request(format!(
                "Invalid page size specified: '{text}'. Must be between 1 and 999 inclusive."
            ))),
        }
    }

    /// `$expand=manager` or `$expand=manager($select=…)`: what to select of the manager. Another expansion is the error.
    pub(super) fn expand_manager(&self) -> Result<Option<Vec<String>>, &str> {
        let Some(text) = self.get("$expand") else {
            return Ok(None);
        };
        if text == "manager" {
            return Ok(Some(Vec::new()));
        }
        let inner = text
            .strip_prefix("manager($select=")
            .and_then(|text| text.strip_suffix(')'));
        inner.map(|list| Some(split_list(list))).ok_or(text)
    }

    pub(super) fn filter(&self) -> Result<Option<Filter>, Answer> {
        self.get("$filter").map(Filter::parse).transpose()
    }
}

fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Equals(String, Value),
    StartsWith(String, String),
    /// `collection/any(x:x eq 'value')`
    Any(String, String),
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, Answer> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
        };
        let filter = parser.either()?;
        if parser.at == parser.tokens.len() {
            Ok(filter)
        } else {
            Err(syntax(text))
        }
    }

    /// The properties named, with what is asked of each: `eq`, `startsWith` or `null`.
    pub(super) fn uses(&self) -> Vec<(&str, &'static str)> {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                let mut uses = left.uses();
                uses.extend(right.uses());
                uses
            }
            Self::Equals(property, Value::Null) => vec![(property, "null")],
            Self::Equals(property, _) | Self::Any(property, _) => vec![(property, "eq")],
            Self::StartsWith(property, _) => vec![(property, "startsWith")],
        }
    }

    /// Refuses what only the advanced index can answer, and properties that have no index at all.
    pub(super) fn check(&self, kind: Kind) -> Result<(), Answer> {
        for (property, operator) in self.uses() {
            match (indexed(kind, property), operator) {
                (Some(_), "eq") | (Some(true), "startsWith") => {}
                (Some(_), _) => return Err(Answer::unsupported_query("Unsupported Query.")),
                (None, _) => {
                    return Err(Answer::unsupported_query(
                        "The request uses a filter property that is not indexed",
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn matches(&self, version: &Version) -> bool {
        let field = |name: &str| version.properties.get(name).unwrap_or(&Value::Null);
        match self {
            Self::And(left, right) => left.matches(version) && right.matches(version),
            Self::Or(left, right) => left.matches(version) || right.matches(version),
            Self::Equals(property, wanted) => same(property, field(property), wanted),
            Self::StartsWith(property, prefix) => {
                let fold = |text: &str| {
                    if is_exact(property) {
                        text.to_owned()
                    } else {
                        text.to_lowercase()
                    }
                };
                field(property)
                    .as_str()
                    .is_some_and(|text| fold(text).starts_with(&fold(prefix)))
            }
            Self::Any(property, wanted) => {
                let wanted = Value::from(wanted.as_str());
                field(property)
                    .as_array()
                    .is_some_and(|values| values.iter().any(|one| same(property, one, &wanted)))
            }
        }
    }
}

/// Source anchors and extension values keep their case; names do not.
fn is_exact(property: &str) -> bool {
    property == "onPremisesImmutableId" || property.starts_with("extension_")
}

fn same(property: &str, left: &Value, right: &Value) -> bool {
    match (left.as_str(), right.as_str()) {
        (Some(left), Some(right)) if !is_exact(property) => {
            left.to_lowercase() == right.to_lowercase()
        }
        _ => left == right || (right == &Value::Bool(false) && left.is_null()),
    }
}

/// Whether a default (not advanced) filter knows the property, and then whether `startsWith` works on it.
fn indexed(kind: Kind, property: &str) -> Option<bool> {
    let property = property.strip_suffix("/any").unwrap_or(property);
    if property.starts_with("extension_") {
        return Some(true);
    }
    match (kind, property) {
        (_, "mail" | "displayName" | "mailNickname" | "proxyAddresses")
        | (
            Kind::User,
            "userPrincipalName" | "department" | "jobTitle" | "surname" | "givenName"
            | "otherMails",
        ) => Some(true),
        (_, "id" | "onPremisesSyncEnabled")
        | (
            Kind::User,
            "onPremisesImmutableId"
            | "employeeId"
            | "accountEnabled"
            | "userType"
            | "usageLocation",
        )
        | (
            Kind::Group,
            "securityEnabled"
            | "mailEnabled"
            | "isAssignableToRole"
            | "onPremisesSecurityIdentifier"
            | "groupTypes",
        ) => Some(false),
        _ => None,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
    Colon,
}

fn syntax(text: &str) -> Answer {
    Answer::error(
        400,
        "BadRequest",
        format!("Invalid filter clause: syntax error in '{text}'."),
    )
}

fn tokens(text: &str) -> Result<Vec<Token>, Answer> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        found.push(match char {
            ' ' => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            ':' => Token::Colon,
            '\'' => {
                let mut value = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            value.push('\'');
                        }
                        Some('\'') => break,
                        Some(char) => value.push(char),
                        None => return Err(syntax(text)),
                    }
                }
                Token::Text(value)
            }
            char => {
                let mut word = String::from(char);
                while let Some(next) = rest.next_if(|next| !" (),':".contains(*next)) {
                    word.push(next);
                }
                Token::Word(word)
            }
        });
    }
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word(&mut self) -> Result<String, Answer> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            _ => Err(self.wrong()),
        }
    }

    fn text(&mut self) -> Result<String, Answer> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            _ => Err(self.wrong()),
        }
    }

    fn expect(&mut self, token: &Token) -> Result<(), Answer> {
        if self.next().as_ref() == Some(token) {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    fn wrong(&self) -> Answer {
        syntax(&format!("token {}", self.at))
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self
            .tokens
            .get(self.at)
            .is_some_and(|token| *token == Token::Word(word.to_owned()));
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Filter, Answer> {
        let mut left = self.both()?;
        while self.keyword("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, Answer> {
        let mut left = self.single()?;
        while self.keyword("and") {
            left = Filter::And(Box::new(left), Box::new(self.single()?));
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Filter, Answer> {
        if self.tokens.get(self.at) == Some(&Token::Open) {
            self.at += 1;
            let inner = self.either()?;
            self.expect(&Token::Close)?;
            return Ok(inner);
        }
        let name = self.word()?;
        if name.eq_ignore_ascii_case("startswith") {
            self.expect(&Token::Open)?;
            let property = self.word()?;
            self.expect(&Token::Comma)?;
            let prefix = self.text()?;
            self.expect(&Token::Close)?;
            return Ok(Filter::StartsWith(property, prefix));
        }
        if name == "not" || name.eq_ignore_ascii_case("endswith") {
            return Err(Answer::unsupported_query("Unsupported Query."));
        }
        if let Some(collection) = name.strip_suffix("/any") {
            return self.any(collection.to_owned());
        }
        match self.word()?.as_str() {
            "eq" => self.literal().map(|value| Filter::Equals(name, value)),
            "in" => self.list(&name),
            "ne" => Err(Answer::unsupported_query("Unsupported Query.")),
            _ => Err(self.wrong()),
        }
    }

    fn any(&mut self, collection: String) -> Result<Filter, Answer> {
        self.expect(&Token::Open)?;
        let variable = self.word()?;
        self.expect(&Token::Colon)?;
        if self.word()? != variable || self.word()? != "eq" {
            return Err(self.wrong());
        }
        let wanted = self.text()?;
        self.expect(&Token::Close)?;
        Ok(Filter::Any(collection, wanted))
    }

    fn list(&mut self, property: &str) -> Result<Filter, Answer> {
        self.expect(&Token::Open)?;
        let mut filter = Filter::Equals(property.to_owned(), self.literal()?);
        loop {
            match self.next() {
                Some(Token::Comma) => {
                    let next = Filter::Equals(property.to_owned(), self.literal()?);
                    filter = Filter::Or(Box::new(filter), Box::new(next));
                }
                Some(Token::Close) => return Ok(filter),
                _ => return Err(self.wrong()),
            }
        }
    }

    fn literal(&mut self) -> Result<Value, Answer> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Value::from(text)),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "null" => Ok(Value::Null),
                word => word
                    .parse::<i64>()
                    .map(Value::from)
                    .map_err(|_| self.wrong()),
            },
            _ => Err(self.wrong()),
        }
    }
}
