use proptest::prelude::*;

use super::*;
use crate::entry::{Attributes, EntryKind};

fn person() -> Entry {
    let mut attributes = Attributes::default();
    for (name, value) in [
        ("givenName", "Jörg"),
        ("sn", "O'Neil"),
        ("mail", "b@x.example"),
        ("mail", "a@x.example"),
        ("c", "de"),
        ("userAccountControl", "514"),
        ("msDS-cloudExtensionAttribute1", "cloud"),
        ("result", "r"),
        ("empty", ""),
        ("number", "42"),
    ] {
        attributes.add(name, vec![value.as_bytes().to_vec()]);
    }
    attributes.add("binary", vec![vec![0xff], b"\xf0".to_vec()]);
    Entry {
        dn: "cn=x".to_owned(),
        kind: EntryKind::User,
        anchor: None,
        alternate: None,
        attributes,
    }
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn compile(source: &str) -> Expression {
    Expression::compile(source, Class::User).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn text(text: &str) -> Assigned {
    Assigned::Set(Value::Text(text.to_owned()))
}

fn list(texts: &[&str]) -> Assigned {
    Assigned::Set(Value::List(texts.iter().map(|t| (*t).to_owned()).collect()))
}

#[test]
fn expressions_mean_what_the_reference_says() {
    let flag = |flag| Assigned::Set(Value::Flag(flag));
    for (source, expected) in [
        ("user.givenName", text("Jörg")),
        ("user.GIVENNAME", text("Jörg")),
        ("user['givenname']", text("Jörg")),
        ("user['msDS-cloudExtensionAttribute1']", text("cloud")),
        ("user.`msDS-cloudExtensionAttribute1`", text("cloud")),
        ("user.result + [1].map(x, user.result)[0]", text("rr")),
        // Absent, empty, several.
        ("user.title", Assigned::Clear),
        ("user.empty", Assigned::Clear),
        ("user.title + ''", Assigned::Clear),
        ("user.title == ''", flag(true)),
        ("user.mail", text("a@x.example")),
        ("user.mail + ''", text("a@x.example")),
        ("values('MAIL')", list(&["a@x.example", "b@x.example"])),
        ("values('title')", Assigned::Clear),
        ("has(user.mail)", flag(true)),
        ("has(user.title)", flag(false)),
        ("has(user.empty)", flag(true)),
        ("has(user.`msDS-cloudExtensionAttribute2`)", flag(false)),
        ("has(user.binary)", flag(true)),
        // Results.
        ("null", Assigned::Clear),
        ("[]", Assigned::Clear),
        ("['', '']", Assigned::Clear),
        ("['b', 'a', 'b', '']", list(&["a", "b"])),
        ("keep()", Assigned::Keep),
        ("has(user.title) ? user.title : keep()", Assigned::Keep),
        // The functions of the table.
        ("bits(user.userAccountControl, 2)", flag(true)),
        ("!bits(user.userAccountControl, 512 + 2)", flag(false)),
        ("bits(user.title, 2)", flag(false)),
        ("mailNickname('Équipe R&D (Süd)')", text("-quipe-R&D--S-d-")),
        ("mailNickname('研发')", text("e7a094e58f91")),
        ("mailNickname('')", Assigned::Clear),
        ("user.c.upperAscii()", text("DE")),
        ("'ÀB'.lowerAscii()", text("Àb")),
        (
            "user.sn.contains(\"'\") && user.sn.startsWith('O') && user.sn.endsWith('l')",
            flag(true),
        ),
        (
            "user.number.matches('^[0-9]+$') && matches(user.c, 'd.')",
            flag(true),
        ),
        ("user.mail.split('@')[0]", text("a")),
        ("user.mail.split('@', 2)[1]", text("x.example")),
        (
            "values('mail').map(m, m.split('@')[0]).join('-')",
            text("a-b"),
        ),
        ("['a', 'b'].join()", text("ab")),
        (
            "user.givenName.substring(0, 2) + user.givenName.substring(3)",
            text("Jög"),
        ),
        ("user.givenName.charAt(1)", text("ö")),
        ("' a '.trim()", text("a")),
        (
            "'a-b-c'.replace('-', '+') + 'a-b-c'.replace('-', '', 1)",
            text("a+b+cab-c"),
        ),
        (
            "string('abc'.indexOf('c') + 'aa'.lastIndexOf('a'))",
            text("3"),
        ),
        (
            "string(size(user.givenName) + values('mail').size())",
            text("6"),
        ),
        (
            "int(user.number) % 5 == 2 && double('0.5') < 1.0 && bool('true')",
            flag(true),
        ),
        ("values('mail').exists(m, m.startsWith('b'))", flag(true)),
        ("values('mail').all(m, m.endsWith('example'))", flag(true)),
        ("values('mail').exists_one(m, m == user.mail)", flag(true)),
        (
            "values('mail').filter(m, m != user.mail)",
            list(&["b@x.example"]),
        ),
        ("{'de': 'Germany'}[user.c]", text("Germany")),
        ("user.c in ['de', 'at']", flag(true)),
        // What is not evaluated cannot fail.
        ("true || user.binary == ''", flag(true)),
    ] {
        assert_eq!(
            compile(source).evaluate(&person(), NOW),
            Ok(expected),
            "{source}"
        );
    }
}

#[test]
fn what_does_not_compile_says_where_and_what_to_write() {
    let mut misplaced = Vec::new();
    for (source, line, column, part) in [
        ("", 1, 1, "empty"),
        ("user.", 1, 6, "cannot be read: "),
        ("user.a +\n  'x' ++ 'y'", 2, 8, "cannot be read: "),
        (
            "usr.mail",
            1,
            1,
            "`usr` is not known; an attribute is written `user.usr`",
        ),
        (
            "'é' + mail",
            1,
            7,
            "`mail` is not known; an attribute is written `user.mail`",
        ),
        ("'é' +\n mail", 2, 2, "`mail` is not known"),
        ("group.cn", 1, 1, "write `user` in place of `group`"),
        ("user[user.c]", 1, 10, "named outright"),
        ("values(user.c)", 1, 12, "named outright"),
        ("size(user)", 1, 6, "named outright"),
        ("user.map(k, k)", 1, 1, "named outright"),
        ("user.a.b", 1, 7, "write `user['a.b']`"),
        ("user['a b']", 1, 5, "`a b` cannot be the name"),
        ("[1].map(user, user)", 1, 8, "may not be called `user`"),
        ("user.mail.lower()", 1, 16, "there is no function `lower`"),
        (
            "user.mail.toUpper()",
            1,
            18,
            "there is no function `toUpper`",
        ),
        ("user.mail.upperAsci()", 1, 20, "did you mean `upperAscii`?"),
        (
            "upperAscii(user.mail)",
            1,
            11,
            "write it as in `text.upperAscii()`",
        ),
        ("keep(1)", 1, 5, "write it as in `keep()`"),
        (
            "user.mail.values('x')",
            1,
            17,
            "write it as in `values('x')`",
        ),
        ("'%s'.format(['a'])", 1, 12, "there is no function `format`"),
        ("Foo{a: 1}", 1, 4, "not part of this language"),
        ("user.?mail", 1, 5, "cannot be read: "),
        (
            "[1].map(a, [1].map(b, [1].map(c, [1].map(d, 1))))",
            1,
            41,
            "nested deeper than 3",
        ),
    ] {
        let Err(error) = Expression::compile(source, Class::User) else {
            panic!("{source} compiles");
        };
        assert!(error.to_string().contains(part), "{source}: {error}");
        if (error.line, error.column) != (line, column) {
            misplaced.push(format!("{source}: {error}"));
        }
    }
    assert!(misplaced.is_empty(), "{misplaced:#?}");
}

#[test]
fn the_size_of_an_expression_is_bounded() {
    let refused = |source: &str| {
        Expression::compile(source, Class::User)
            .map(|_| ())
            .map_err(|e| e.problem)
    };
    assert_eq!(refused(&format!("'{}'", "a".repeat(2046))), Ok(()));
    assert_eq!(
        refused(&format!("'{}'", "a".repeat(2047))),
        Err(ExpressionProblem::Length(2049))
    );
    assert_eq!(refused(&["1"; 30].join("+")), Err(ExpressionProblem::Depth));
    assert_eq!(
        refused(&format!("[{}]", ["1"; 600].join(","))),
        Err(ExpressionProblem::Size)
    );
    assert!(refused(&format!("{}1{}", "(".repeat(900), ")".repeat(900))).is_err());
    assert!(refused(&"!".repeat(2000)).is_err());
    assert!(refused(&"[".repeat(2000)).is_err());
}

#[test]
fn the_deepest_expressions_fit_on_half_of_a_thread_of_two_mebibytes() {
    let deepest = |make: &dyn Fn(usize) -> String| {
        let fits = |depth: &usize| Expression::compile(&make(*depth), Class::User).is_ok();
        (1..40)
            .take_while(fits)
            .last()
            .map(make)
            .unwrap_or_default()
    };
    let sources = [
        deepest(&|n| format!("{}'a'{}", "[".repeat(n), "]".repeat(n))),
        deepest(&|n| ["user.mail"; 40][..n].join("+")),
        deepest(&|n| format!("user.mail{}", ".trim()".repeat(n))),
        deepest(&|n| format!("{}1{}", "string(".repeat(n), ")".repeat(n))),
        deepest(&|n| format!("{}1", "user.c == 'x' ? 2 : ".repeat(n))),
        deepest(&|n| {
            format!(
                "[1].map(a, [1].map(b, [1].map(c, {}c{})))",
                "[".repeat(n),
                "]".repeat(n)
            )
        }),
        deepest(&|n| format!("user.mail{}", ".split('@')[0]".repeat(n))),
    ];
    let thread = std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || {
            for source in sources {
                assert!(source.len() > 40, "{source}");
                // A stack that is too small ends the process.
                let _ = compile(&source).evaluate(&person(), NOW);
            }
        });
    assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
}

#[test]
fn a_failure_while_evaluating_is_an_error_that_shows_no_value() {
    let failed = |text: &str| EvaluationError::Failed(text.to_owned());
    let utf8 = |attribute: &str| EvaluationError::InvalidUtf8 {
        attribute: attribute.to_owned(),
    };
    for (source, expected) in [
        ("user.binary", utf8("binary")),
        ("user.Binary + 'x'", utf8("binary")),
        ("values('binary').size() == 0", utf8("binary")),
        (
            "user.mail.split('@')[7]",
            failed("a list has no element at that position"),
        ),
        ("{'a': 'b'}[user.mail]", failed("a map has no such key")),
        (
            "user.mail.substring(99)",
            failed("`substring`: index out of range"),
        ),
        (
            "bits(user.mail, 2)",
            failed("`bits`: the text is no whole number"),
        ),
        ("string(1 / 0)", failed("a division by zero")),
        (
            "string(9223372036854775807 + 1)",
            failed("a number becomes too large"),
        ),
        ("user.mail + 1", failed("`+` cannot take these types")),
        (
            "user.mail && true",
            failed("`&&` cannot take string and bool"),
        ),
    ] {
        assert_eq!(
            compile(source).evaluate(&person(), NOW),
            Err(expected),
            "{source}"
        );
    }
    for source in [
        "int(user.mail)",
        "bool(user.mail)",
        "double(user.mail)",
        "user.sn.matches(user.mail + '(')",
        "int(user.mail) == 1",
    ] {
        let error = compile(source)
            .evaluate(&person(), NOW)
            .map_err(|error| error.to_string());
        assert!(
            error
                .as_ref()
                .is_err_and(|text| !text.contains("x.example")),
            "{source}: {error:?}"
        );
    }
    for (source, found) in [
        ("1", "int"),
        ("{'a': 'b'}", "map"),
        ("[1]", "list with a int"),
        ("1.5", "double"),
        ("b'a'", "bytes"),
    ] {
        let found = EvaluationError::NotAssignable {
            found: found.to_owned(),
        };
        assert_eq!(
            compile(source).evaluate(&person(), NOW),
            Err(found),
            "{source}"
        );
    }
}

#[test]
fn a_condition_is_a_bool_and_nothing_else() {
    assert_eq!(compile("user.c == 'de'").holds(&person(), NOW), Ok(true));
    assert_eq!(
        compile("!user.extensionAttribute10.startsWith('nosync')").holds(&person(), NOW),
        Ok(true)
    );
    for (source, found) in [
        ("user.c", "string"),
        ("user.c + ''", "string"),
        ("1", "int"),
        ("null", "null_type"),
    ] {
        let found = EvaluationError::NotBoolean {
            found: found.to_owned(),
        };
        assert_eq!(
            compile(source).holds(&person(), NOW),
            Err(found),
            "{source}"
        );
    }
}

#[test]
fn the_attributes_to_read_are_known() {
    let expression =
        compile("has(user.Title) ? values('Mail').filter(m, m != user.mail)[0] : user['C']");
    assert_eq!(
        expression.attributes().collect::<Vec<_>>(),
        ["c", "mail", "title"]
    );
    assert_eq!(expression.sole_attribute(), None);
    assert_eq!(compile("user.Manager").sole_attribute(), Some("manager"));
    assert_eq!(compile("has(user.manager)").sole_attribute(), None);
}

#[test]
fn an_expression_that_explodes_is_stopped_before_it_runs() {
    let ten = "[1,2,3,4,5,6,7,8,9,0]";
    let hundred = ["1"; 100].join(",");
    for source in [
        // 10^13 bytes, 6^15 bytes, 10^6 steps of ten values, 10^6 regular expressions.
        format!("'a'{}", ".replace('a', 'aaaaaaaaaa')".repeat(13)),
        format!("['a']{}[0]", ".map(x, x + x + x + x + x + x)".repeat(15)),
        format!("[{hundred}].exists(a, [{hundred}].exists(b, {ten}.map(c, {ten}).size() == 1))"),
        format!("[{hundred}].exists(a, {ten}.exists(b, {ten}.exists(c, user.mail.matches('x'))))"),
        format!(
            "'{}'.replace('', user.givenName){}",
            "a".repeat(99),
            ".replace('', 'aaaaaaaaa')".repeat(6)
        ),
    ] {
        assert_eq!(
            compile(&source).evaluate(&person(), NOW),
            Err(EvaluationError::TooCostly),
            "{source}"
        );
    }
}

#[test]
fn compiled_languages_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Expression>();
    shared::<crate::mapping::Mapping>();
    shared::<crate::filter::Filter>();
}

#[test]
fn what_needs_no_interpreter_gives_the_same_as_the_interpreter() {
    for (source, interpreted) in [
        ("user.mail", "'' + user.mail"),
        (
            "has(user.mail) ? user.mail : user.c",
            "has(user.mail) ? user.mail + '' : user.c",
        ),
        (
            "has(user.title) ? user.title : user.c",
            "has(user.title) ? user.title + '' : user.c",
        ),
        (
            "has(user.empty) ? user.empty : user.c",
            "has(user.empty) ? user.empty + '' : user.c",
        ),
        (
            "has(user.title) ? user.title : has(user.sn) ? user.sn : user.c",
            "has(user.title) ? user.title + '' : has(user.sn) ? user.sn : user.c",
        ),
        ("has(user.title) ? user.title : user.none", "user.none + ''"),
        (
            "has(user.binary) ? user.binary : user.c",
            "has(user.binary) ? user.binary + '' : user.c",
        ),
    ] {
        let (fast, slow) = (compile(source), compile(interpreted));
        assert!(matches!(fast.form, Form::FirstOf(_)), "{source}");
        assert!(matches!(slow.form, Form::Program(_)), "{interpreted}");
        assert_eq!(
            fast.evaluate(&person(), NOW),
            slow.evaluate(&person(), NOW),
            "{source}"
        );
    }
    for source in [
        "has(user.mail) ? user.c : user.mail",
        "user.mail == '' ? user.mail : user.c",
        "values('mail')",
        "has(user.mail)",
    ] {
        assert!(matches!(compile(source).form, Form::Program(_)), "{source}");
    }
}

#[test]
fn a_loop_over_a_large_group_is_affordable() {
    let mut attributes = Attributes::default();
    let values = (0..20_000).map(|n| format!("cn=member {n},ou=people,dc=example").into_bytes());
    attributes.add("member", values.collect());
    let entry = Entry {
        attributes,
        ..person()
    };
    let expression = compile("values('member').exists(m, m.startsWith('cn=member 19999,'))");
    assert_eq!(expression.holds(&entry, NOW), Ok(true));
}

/// A text, and steps that make it grow.
fn growing() -> impl Strategy<Value = String> {
    let start = proptest::sample::select(vec![
        "user.mail",
        "values('mail').join()",
        "'aé'",
        "user.title",
    ]);
    let step = proptest::sample::select(vec![
        ".replace('a', 'bab')",
        ".replace('', user.c)",
        ".replace(user.c, user.mail)",
        ".split('').map(x, x + x + user.c).join('--')",
        ".split('e').filter(x, x != 'q').join(user.mail)",
        ".split('').map(x, ['a', x].map(y, y + x).join()).join()",
        ".trim()",
        ".upperAscii()",
        ".replace('A', 'aa')",
    ]);
    (start, proptest::collection::vec(step, 1..5))
        .prop_map(|(start, steps)| start.to_owned() + &steps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_an_expression_gives_is_never_more_than_its_bound(source in growing()) {
        let expression = compile(&source);
        if let (Ok(Assigned::Set(Value::Text(text))), Form::Program(program)) = (expression.evaluate(&person(), NOW), &expression.form) {
            let bound = cost::work(&program.expression, &person());
            let length = u32::try_from(text.len()).map_or(f64::MAX, f64::from);
            prop_assert!(length <= bound, "{} gives {} bytes, bound {}", source, length, bound);
        }
    }
}

/// Sources that are nearly expressions.
fn sources() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "user",
        ".mail",
        ".x",
        "values('mail')",
        "has(user.x)",
        "keep()",
        "bits(user.number, 2)",
        "'a'",
        "\"é\"",
        "1",
        "-",
        "2.5",
        "true",
        "null",
        "+",
        "==",
        "&&",
        "||",
        "!",
        "? ",
        " : ",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".map(x, ",
        ".filter(y, ",
        ".exists(z, ",
        "x",
        ".split(",
        ".join(",
        ".replace('a', 'b')",
        ".substring(1, ",
        " in ",
        "[0]",
        ".size()",
        "int(",
        "string(",
        ".charAt(",
        ".indexOf(",
        "9223372036854775807",
        "\\",
        "`",
        ".trim()",
        "b'x'",
        "1u",
        "r'",
        "%",
        "*",
        "/",
        "<",
        "//",
        "\n",
    ]);
    proptest::collection::vec(word, 0..14).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_compiles_or_is_refused_and_never_panics(text in "\\PC{0,40}", near in sources()) {
        for source in [text, near] {
            match Expression::compile(&source, Class::User) {
                Ok(expression) => {
                    let _ = expression.evaluate(&person(), NOW);
                    let _ = expression.holds(&person(), NOW);
                }
                Err(error) => prop_assert!(error.line >= 1 && error.column >= 1),
            }
        }
    }
}
