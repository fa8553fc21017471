//! The functions of expressions: the table that compiling checks calls against and the reference page prints, and our own.

use cel::{
    DeclarationError, Env, ExecutionError,
    common::types::{CelBool, CelInt, CelString},
};

/// One function as people may call it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Called on a value: `text.trim()`.
    pub(crate) method: bool,
    /// Fewest and most arguments.
    pub(crate) arguments: (usize, usize),
    pub(crate) usage: &'static str,
    pub(crate) meaning: &'static str,
}

const fn function(
    name: &'static str,
    arguments: (usize, usize),
    usage: &'static str,
    meaning: &'static str,
) -> Function {
    Function {
        name,
        method: false,
        arguments,
        usage,
        meaning,
    }
}

const fn method(
    name: &'static str,
    arguments: (usize, usize),
    usage: &'static str,
    meaning: &'static str,
) -> Function {
    Function {
        name,
        method: true,
        arguments,
        usage,
        meaning,
    }
}

/// All of them. The macros `has`, `all`, `exists`, `exists_one`, `map` and `filter` are gone when calls are checked.
pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "values",
        (1, 1),
        "values('x')",
        "all values of the attribute, sorted by bytes",
    ),
    function(
        "keep",
        (0, 0),
        "keep()",
        "leaves the target attribute as it is",
    ),
    function(
        "bits",
        (2, 2),
        "bits(user.userAccountControl, 2)",
        "whether the number in the text has all bits of the mask; false for `''`",
    ),
    function(
        "expired",
        (1, 1),
        "expired(user.accountExpires)",
        "whether the time in the attribute has come: an interval of Active Directory, a GeneralizedTime or a number of days since 1970; false for `''` and for what never expires",
    ),
    function(
        "mailNickname",
        (1, 1),
        "mailNickname(text)",
        "the text as a mail nickname: characters that it may not have become `-`, at most 64 are kept; if no letter or digit remains, the hexadecimal digits of the text",
    ),
    method(
        "contains",
        (1, 1),
        "text.contains('a')",
        "has the text in it",
    ),
    method(
        "startsWith",
        (1, 1),
        "text.startsWith('a')",
        "begins with the text",
    ),
    method(
        "endsWith",
        (1, 1),
        "text.endsWith('a')",
        "ends with the text",
    ),
    method(
        "matches",
        (1, 1),
        "text.matches('^[0-9]+$')",
        "has a match of the regular expression (RE2 syntax); also `matches(text, '…')`",
    ),
    function(
        "matches",
        (2, 2),
        "matches(text, '^[0-9]+$')",
        "the same as a function",
    ),
    method(
        "size",
        (0, 0),
        "text.size()",
        "number of characters, or of elements of a list; also `size(text)`",
    ),
    function("size", (1, 1), "size(list)", "the same as a function"),
    method(
        "lowerAscii",
        (0, 0),
        "text.lowerAscii()",
        "ASCII letters in lower case",
    ),
    method(
        "upperAscii",
        (0, 0),
        "text.upperAscii()",
        "ASCII letters in upper case",
    ),
    method(
        "trim",
        (0, 0),
        "text.trim()",
        "without white space at both ends",
    ),
    method(
        "replace",
        (2, 3),
        "text.replace('a', 'b')",
        "every `a` becomes `b`; a third argument limits how many",
    ),
    method(
        "split",
        (1, 2),
        "text.split(',')",
        "the list of parts; a second argument limits how many",
    ),
    method(
        "join",
        (0, 1),
        "list.join(', ')",
        "the texts of a list as one",
    ),
    method(
        "substring",
        (1, 2),
        "text.substring(0, 3)",
        "characters from a position, to before another; an error outside the text",
    ),
    method(
        "charAt",
        (1, 1),
        "text.charAt(0)",
        "the character at a position",
    ),
    method(
        "indexOf",
        (1, 2),
        "text.indexOf('a')",
        "position of the first occurrence, or -1",
    ),
    method(
        "lastIndexOf",
        (1, 2),
        "text.lastIndexOf('a')",
        "position of the last occurrence, or -1",
    ),
    function("string", (1, 1), "string(7)", "as text"),
    function(
        "int",
        (1, 1),
        "int('7')",
        "as a whole number; an error if it is none",
    ),
    function(
        "double",
        (1, 1),
        "double('0.5')",
        "as a number; an error if it is none",
    ),
    function(
        "bool",
        (1, 1),
        "bool('true')",
        "as a bool; an error if it is none",
    ),
];

/// Adds what CEL does not have. `values`, `keep` and `expired` are resolved when compiling.
pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    cel::add_overload!(environment, fn bits: (CelString, CelInt) -> Result<CelBool>)?;
    cel::add_overload!(environment, fn mail_nickname: (CelString) -> CelString, name = "mailNickname")?;
    Ok(())
}

/// What `bits` says of a text that is no number.
pub(super) const NOT_A_NUMBER: &str = "the text is no whole number";

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form in which CEL hands over arguments"
)]
fn bits(number: &CelString<'_>, mask: &CelInt) -> Result<CelBool, ExecutionError> {
    let text = number.inner().trim();
    if text.is_empty() {
        return Ok(CelBool::from(false));
    }
    match text.parse::<i64>() {
        Ok(number) => Ok(CelBool::from(number & mask.inner() == *mask.inner())),
        Err(_) => Err(ExecutionError::function_error("bits", NOT_A_NUMBER)),
    }
}

fn mail_nickname(text: &CelString<'_>) -> CelString<'static> {
    nickname(text.inner()).into()
}

/// What Graph takes as `mailNickname`: ASCII without `@()\[]";:<>,` and space, at most 64 characters.
fn nickname(text: &str) -> String {
    const LONGEST: usize = 64;
    let text = text.trim();
    let kept: String = text
        .chars()
        .map(|c| {
            if crate::format::is_nickname_character(c) {
                c
            } else {
                '-'
            }
        })
        .take(LONGEST)
        .collect();
    if kept.contains(|c: char| c.is_ascii_alphanumeric()) {
        return kept;
    }
    let digits = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .take(LONGEST)
        .collect()
}
