//! The grammar of RFC 4515 (with the empty lists of RFC 4526), from text to a filter. Never panics; positions are in bytes.

use super::{FilterError, FilterProblem, Node, Test};

/// Deepest nesting of parentheses; what people write stays below ten.
pub(super) const MAX_DEPTH: usize = 64;

pub(super) const ALL_BITS: &str = "1.2.840.113556.1.4.803";
pub(super) const ANY_BIT: &str = "1.2.840.113556.1.4.804";
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";

type Result<T> = std::result::Result<T, FilterError>;

pub(super) fn filter(text: &str) -> Result<Node> {
    let mut parser = Parser { text, at: 0 };
    let node = parser.filter(0)?;
    parser.skip_spaces();
    match parser.peek() {
        None => Ok(node),
        Some(_) => parser.fail(FilterProblem::Trailing),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let there = rest.starts_with(token.as_bytes());
        if there {
            self.at += token.len();
        }
        there
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.take_while(|byte| byte.is_ascii_whitespace());
    }

    fn fail<T>(&self, problem: FilterProblem) -> Result<T> {
        Err(FilterError {
            position: self.at,
            problem,
        })
    }

    fn filter(&mut self, depth: usize) -> Result<Node> {
        self.skip_spaces();
        if !self.take("(") {
            return self.fail(FilterProblem::Open);
        }
        if depth >= MAX_DEPTH {
            return self.fail(FilterProblem::Depth);
        }
        self.skip_spaces();
        let node = if self.take("&") {
            Node::And(self.list(depth)?)
        } else if self.take("|") {
            Node::Or(self.list(depth)?)
        } else if self.take("!") {
            Node::Not(Box::new(self.filter(depth + 1)?))
        } else {
            self.item()?
        };
        self.skip_spaces();
        if !self.take(")") {
            return self.fail(FilterProblem::Close);
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            self.skip_spaces();
            if self.peek() == Some(b')') {
                return Ok(nodes);
            }
            nodes.push(self.filter(depth + 1)?);
        }
    }

    fn item(&mut self) -> Result<Node> {
        let attribute = self.attribute()?;
        let test = if self.take(">=") {
            Test::AtLeast(self.value()?)
        } else if self.take("<=") {
            Test::AtMost(self.value()?)
        } else if self.take("~=") || self.take(":=") {
            Test::Equal(self.value()?)
        } else if self.take("=") {
            self.equality()?
        } else if self.peek() == Some(b':') {
            self.extensible()?
        } else {
            return self.fail(FilterProblem::Operator);
        };
        Ok(Node::Item {
            attribute: attribute.to_ascii_lowercase().into(),
            test,
        })
    }

    fn attribute(&mut self) -> Result<&'a str> {
        let start = self.at;
        let name = self
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let problem = match name.bytes().next() {
            Some(first) if first.is_ascii_alphabetic() && !name.contains('.') => {
                if self.peek() == Some(b';') {
                    return self.fail(FilterProblem::AttributeOption);
                }
                self.take_while(|byte| byte == b' ');
                return Ok(name);
            }
            Some(first) if first.is_ascii_digit() => FilterProblem::Oid,
            _ => FilterProblem::Attribute,
        };
        self.at = start;
        self.fail(problem)
    }

    /// `:rule:=mask`.
    fn extensible(&mut self) -> Result<Test> {
        let start = self.at + 1;
        let rule = self.take_while(|byte| !matches!(byte, b'=' | b'(' | b')'));
        let rule = rule.trim_matches(':');
        let refuse = |hint| {
            Err(FilterError {
                position: start,
                problem: FilterProblem::MatchingRule(rule.to_owned(), hint),
            })
        };
        let test: fn(i64) -> Test = match rule {
            ALL_BITS => Test::AllBits,
            ANY_BIT => Test::AnyBit,
            IN_CHAIN => {
                return refuse(
                    "; for the members of a nested group, include the group in the scope",
                );
            }
            _ => return refuse(""),
        };
        if !self.take("=") {
            return self.fail(FilterProblem::Operator);
        }
        let at = self.at;
        let mask = self.take_while(|byte| byte != b')').trim().parse();
        match mask {
            Ok(mask) => Ok(test(mask)),
            Err(_) => Err(FilterError {
                position: at,
                problem: FilterProblem::Mask,
            }),
        }
    }

    /// What follows `=`: presence, a value, or the parts of a substring.
    fn equality(&mut self) -> Result<Test> {
        let mut parts = vec![self.part()?];
        while self.take("*") {
            parts.push(self.part()?);
        }
        let Some(last) = parts.pop() else {
            return self.fail(FilterProblem::Close);
        };
        if parts.is_empty() {
            return Ok(Test::Equal(last));
        }
        let initial = parts.remove(0);
        if parts.is_empty() && initial.is_empty() && last.is_empty() {
            return Ok(Test::Present);
        }
        let some = |part: Vec<u8>| (!part.is_empty()).then_some(part);
        parts.retain(|part| !part.is_empty());
        Ok(Test::Substring {
            initial: some(initial),
            any: parts,
            last: some(last),
        })
    }

    fn value(&mut self) -> Result<Vec<u8>> {
        let value = self.part()?;
        match self.peek() {
            Some(b'*') => self.fail(FilterProblem::Asterisk),
            _ => Ok(value),
        }
    }

    /// Bytes up to `*` or a parenthesis, escapes undone.
    fn part(&mut self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'*' | b'(' | b')' => break,
                b'\\' => {
                    let digits = self.text.get(self.at + 1..self.at + 3);
                    let byte = digits
                        .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
                        .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    let Some(byte) = byte else {
                        return self.fail(FilterProblem::Escape);
                    };
                    value.push(byte);
                    self.at += 3;
                }
                _ => {
                    value.push(byte);
                    self.at += 1;
                }
            }
        }
        Ok(value)
    }
}
