//! The reference page of mappings, made from the tables that the code runs on (`docs/reference/mappings.md`).

use std::fmt::Write as _;

use super::default::defaults;
use crate::{
    entry::{Class, ServerType},
    exclusion::EXCLUSION_ATTRIBUTES,
    expression::{
        MAX_SOURCE,
        check::{MAX_DEPTH, MAX_LOOPS, MAX_NODES},
        function::FUNCTIONS,
    },
};

/// The page as Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## Functions\n\n| function | meaning |\n| --- | --- |\n");
    for function in FUNCTIONS {
        row(
            &mut page,
            &[function.usage, function.meaning],
            &[true, false],
        );
    }
    page.push_str(LIMITS_HEAD);
    let _ = writeln!(
        page,
        "* The source of an expression has at most {MAX_SOURCE} bytes.\n\
         * It has at most {MAX_NODES} parts, nested at most {MAX_DEPTH} deep (each `+` in a row is one level; \
         `[…].join()` takes longer rows),\n  with at most {MAX_LOOPS} loops inside one another."
    );
    page.push_str(LIMITS);
    for (title, server, class) in [
        (
            "Users of Active Directory",
            ServerType::ActiveDirectory,
            Class::User,
        ),
        (
            "Groups of Active Directory",
            ServerType::ActiveDirectory,
            Class::Group,
        ),
        (
            "Users of OpenLDAP and other servers",
            ServerType::OpenLdap,
            Class::User,
        ),
        (
            "Groups of OpenLDAP and other servers",
            ServerType::OpenLdap,
            Class::Group,
        ),
    ] {
        let _ = write!(
            page,
            "\n### {title}\n\n| target attribute | expression |\n| --- | --- |\n"
        );
        for (target, expression) in defaults(server, class) {
            row(&mut page, &[target, expression], &[true, true]);
        }
        match class {
            Class::User => row(&mut page, &["manager", "user.manager"], &[true, true]),
            _ => row(
                &mut page,
                &[
                    "members",
                    &super::default::members(server, class).join("`, `"),
                ],
                &[true, true],
            ),
        }
    }
    page.push_str(EXCLUSIONS);
    let _ = writeln!(
        page,
        "The rules look at `{}`.",
        EXCLUSION_ATTRIBUTES.join("`, `")
    );
    page
}

fn row(page: &mut String, cells: &[&str], code: &[bool]) {
    for (cell, code) in cells.iter().zip(code) {
        let cell = cell.replace('|', "\\|");
        let _ = if *code {
            write!(page, "| `{cell}` ")
        } else {
            write!(page, "| {cell} ")
        };
    }
    page.push_str("|\n");
}

const INTRODUCTION: &str = "\
# Mappings

<!-- Made from the code by `UPDATE_DOCS=1 cargo test -p plumbline-engine`; a test compares. -->

What leaves for the cloud is what mappings say, and nothing else: for each attribute of the target, an expression over the
attributes of the source. The defaults below apply when nothing is written. `DirectorySync.spec.mapping` overrides them,
`spec.scopes[].mapping` overrides both for one scope; `omit` never sends an attribute.

```yaml
mapping:
  user:
    set:
      usageLocation: \"user.c.upperAscii()\"
      employeeId: \"user['msDS-cloudExtensionAttribute1']\"
    omit: [mobilePhone]
```

## Expressions

Expressions are [CEL](https://cel.dev). `user` (`group`, `contact`) is the entry; attribute names ignore case.

| written | meaning |
| --- | --- |
| `user.mail` | the value; `''` when absent; of several values the smallest by bytes |
| `has(user.mail)` | whether the attribute has a value |
| `values('proxyAddresses')` | all values, sorted by bytes |
| `user['msDS-cloudExtensionAttribute1']` | an attribute whose name has a dash |
| ``has(user.`msDS-cloudExtensionAttribute1`)`` | the same inside `has` |
| `''`, `null` or `[]` as the result | clears the target attribute; where the target cannot clear it, leaves it alone |
| `keep()` as the result | leaves the target attribute alone |

Operators are those of CEL: `+ - * / %`, `== != < <= > >=`, `&& || !`, `in`, `a ? b : c`, lists `[a, b]` and maps `{'a': 'b'}`; so are the
loops `all`, `exists`, `exists_one`, `map` and `filter` over lists. Names must be written outright, not computed, so that it is
known what to read. An error in an expression sets that object aside (`ExpressionFailed`) and changes nothing; so does an
attribute that is not valid UTF-8 (`InvalidUTF8`), a required attribute without a value (`AttributeMissing`) and a value that breaks
the target's rules (`AttributeInvalid`). Values are never cut.

What `expired` says changes by itself: the object is planned anew at that moment, without a read. No default looks at `accountExpires`
(Entra Connect does not either); `accountEnabled: !bits(user.userAccountControl, 2) && !expired(user.accountExpires)` disables who has expired.
";

const LIMITS_HEAD: &str = "\n## Limits\n\n";

const LIMITS: &str = "\
* Before an expression with loops, `replace` or `matches` runs, the most that it could cost for the entry is computed from the
  lengths of the values; beyond some tenths of a second or 32 MB, the object is set aside.

## Defaults

An attribute is left out where the target cannot write it. `usageLocation` comes from `msExchUsageLocation`, else from the country
code `c`. `mailNickname` is made from the sign-in name or the group's name where the directory has none. Where `userAccountControl`
cannot be read, the account is set aside, not enabled. On servers other than Active Directory the sign-in name is `mail`: of several
addresses the smallest by bytes, the others become `otherMails`; `costCenter` has no default there, nor in Active Directory.
";

const EXCLUSIONS: &str = "
## What is never synchronised

Whatever a scope says, these entries take no part, as in Microsoft's own engine: critical system objects, built-in groups, objects that
lost a replication conflict, accounts and groups of synchronisation services (`MSOL_…`, `AAD_…`), system mailboxes and system recipients
of Exchange, users of Active Directory without `sAMAccountName`, contacts and distribution groups without mail, groups of
250,000 members or more.

";
