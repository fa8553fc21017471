//! What a read makes of a server that breaks the protocol or stops half-way: an error with its reason, never a shorter list.

use std::time::Duration;

use ldap3_proto::proto::{LdapOp, LdapResultCode, LdapSearchRequest, LdapSearchResultReference};
use plumbline_directory::DirectorySource;
use plumbline_engine::{anchor::Anchor, reason::Reason};

use crate::{
    reading::{assert_told, find, read},
    scripted_server::{BASE, Reply, Scripted, Shown, done, entry, page, result},
};

fn person(name: &str) -> Reply {
    entry(
        &format!("uid={name},{BASE}"),
        &[
            ("objectClass", vec!["person"]),
            ("entryUUID", vec!["0b0b04e7-f086-3444-ab9c-d49a2093acb4"]),
        ],
    )
}

#[tokio::test]
async fn whatever_ends_a_read_early_is_an_error() {
    type Answer = Box<dyn Fn() -> Vec<Reply> + Send>;
    let refused = |code: LdapResultCode| move || vec![person("a"), done(code.clone())];
    let table: Vec<(Answer, Reason, &str)> = vec![
        (
            Box::new(refused(LdapResultCode::SizeLimitExceeded)),
            Reason::ReadIncomplete,
            "sizeLimitExceeded",
        ),
        (
            Box::new(refused(LdapResultCode::AdminLimitExceeded)),
            Reason::ReadIncomplete,
            "raise the server's limits",
        ),
        (
            Box::new(refused(LdapResultCode::TimeLimitExceeded)),
            Reason::ReadIncomplete,
            "time limit",
        ),
        (
            Box::new(refused(LdapResultCode::Busy)),
            Reason::ReadIncomplete,
            "busy",
        ),
        (
            Box::new(refused(LdapResultCode::Unavailable)),
            Reason::ReadIncomplete,
            "unavailable",
        ),
        (
            Box::new(refused(LdapResultCode::OperationsError)),
            Reason::ReadIncomplete,
            "operationsError",
        ),
        (
            Box::new(refused(LdapResultCode::UnavailableCriticalExtension)),
            Reason::ReadIncomplete,
            "result 12",
        ),
        (
            Box::new(refused(LdapResultCode::InsufficentAccessRights)),
            Reason::AccessDenied,
            "insufficientAccessRights",
        ),
        (
            Box::new(refused(LdapResultCode::NoSuchObject)),
            Reason::BaseNotFound,
            BASE,
        ),
        (
            Box::new(|| {
                let mut referral = result(LdapResultCode::Referral);
                referral.referral = vec![format!("ldap://elsewhere/{BASE}")];
                vec![Reply::Message(LdapOp::SearchResultDone(referral), vec![])]
            }),
            Reason::ReadIncomplete,
            "sends this search elsewhere",
        ),
        (
            Box::new(|| vec![person("a"), done(LdapResultCode::Success)]),
            Reason::ReadIncomplete,
            "without the paging control",
        ),
        (
            Box::new(|| vec![person("a"), page("more")]),
            Reason::ReadIncomplete,
            "the same page twice",
        ),
        (
            // A search result without a code makes the client library panic.
            Box::new(|| vec![person("a"), Reply::Raw(vec![0x65, 0])]),
            Reason::ReadIncomplete,
            "malformed message",
        ),
        (
            // An entry that is a DN and nothing else.
            Box::new(|| vec![Reply::Raw(vec![0x64, 3, 4, 1, b'a']), page("")]),
            Reason::ReadIncomplete,
            "no proper attribute list",
        ),
        (
            Box::new(|| vec![person("a"), Reply::Close]),
            Reason::ReadIncomplete,
            "was lost",
        ),
        (
            Box::new(|| vec![person("a")]),
            Reason::ReadIncomplete,
            "did not answer",
        ),
    ];
    for (answer, reason, piece) in table {
        let server = Scripted::start(Shown::Generic, move |_, _| answer()).await;
        let mut settings = server.settings.clone();
        settings.timeouts.answer = Duration::from_millis(500);
        let mut source = DirectorySource::new(settings).unwrap();
        let (outcome, seen) = read(&mut source, &["cn"]).await;
        assert_told(&outcome.unwrap_err(), reason, piece);
        assert!(!seen.ended);
    }
}

#[tokio::test]
async fn pages_with_one_cookie_for_all_are_read_to_the_end() {
    // As Samba does.
    let mut sent = 0;
    let server = Scripted::start(Shown::Generic, move |_, _| {
        sent += 1;
        vec![
            person(&format!("u{sent}")),
            page(if sent < 4 { "1" } else { "" }),
        ]
    })
    .await;
    let mut source = DirectorySource::new(server.settings.clone()).unwrap();
    let (outcome, seen) = read(&mut source, &["cn"]).await;
    outcome.unwrap();
    assert_eq!(seen.entries.len(), 4);
}

/// A group whose members come in ranges; `fetch` answers the requests for more.
async fn read_group(
    mut fetch: impl FnMut(usize) -> Vec<(String, Vec<&'static str>)> + Send + 'static,
) -> Result<usize, plumbline_directory::DirectoryError> {
    let mut asked = 0;
    let group = move |attributes: Vec<(String, Vec<&'static str>)>| {
        let mut all = vec![
            ("objectClass", vec!["group"]),
            ("groupType", vec!["-2147483646"]),
        ];
        all.extend(
            attributes
                .iter()
                .map(|(name, values)| (name.as_str(), values.clone())),
        );
        entry(&format!("CN=g,{BASE}"), &all)
    };
    let server = Scripted::start(
        Shown::ActiveDirectory,
        move |request: &LdapSearchRequest, _| {
            if request.base == BASE {
                let first = vec![
                    ("uSNChanged".to_owned(), vec!["1"]),
                    ("member".to_owned(), vec![]),
                    ("member;range=0-1".to_owned(), vec!["a", "b"]),
                ];
                return vec![group(first), page("")];
            }
            asked += 1;
            vec![group(fetch(asked)), done(LdapResultCode::Success)]
        },
    )
    .await;
    let mut source = DirectorySource::new(server.settings.clone()).unwrap();
    let (outcome, seen) = read(&mut source, &["member"]).await;
    outcome.map(|()| seen.entries[0].attributes.get("member").len())
}

fn range(
    usn: &'static str,
    option: &str,
    values: &[&'static str],
) -> Vec<(String, Vec<&'static str>)> {
    vec![
        ("uSNChanged".to_owned(), vec![usn]),
        (format!("member;range={option}"), values.to_vec()),
    ]
}

#[tokio::test]
async fn ranged_values_are_fetched_to_their_end() {
    let count = read_group(|asked| match asked {
        1 => range("1", "2-3", &["c", "d"]),
        _ => range("1", "4-*", &["e"]),
    })
    .await;
    assert_eq!(count.unwrap(), 5);
}

#[tokio::test]
async fn a_group_that_changes_while_its_ranges_are_read_is_read_again() {
    let count = read_group(|asked| match asked {
        2 => range("2", "0-1", &["a", "c"]),
        _ => range("2", "2-*", &["d"]),
    })
    .await;
    assert_eq!(count.unwrap(), 3);
}

#[tokio::test]
async fn ranges_that_do_not_add_up_are_an_error() {
    type Fetch = fn(usize) -> Vec<(String, Vec<&'static str>)>;
    let changing: Fetch = |asked| match asked {
        1 => range("2", "2-*", &["c"]),
        2 => range("3", "0-*", &["c"]),
        _ => range("4", "0-*", &["c"]),
    };
    let table: [(Fetch, &str); 5] = [
        (|_| range("1", "3-*", &["d"]), "begins at 3"),
        (
            |_| range("1", "2-3", &["c"]),
            "announced 2 values and sent 1",
        ),
        (
            |_| vec![("uSNChanged".to_owned(), vec!["1"])],
            "stopped before the end",
        ),
        (|_| range("1", "x-*", &["c"]), "cannot be understood"),
        (changing, "changed at every attempt"),
    ];
    for (fetch, piece) in table {
        assert_told(
            &read_group(fetch).await.unwrap_err(),
            Reason::ReadIncomplete,
            piece,
        );
    }
}

#[tokio::test]
async fn a_search_that_the_server_only_pretends_to_make_is_no_evidence() {
    // OpenLDAP without the right to search on entryUUID lists the entry and finds nothing.
    let server = Scripted::start(Shown::Generic, |request: &LdapSearchRequest, controls| {
        if controls.is_empty() {
            assert!(request.sizelimit > 0);
            vec![person("a"), done(LdapResultCode::SizeLimitExceeded)]
        } else {
            vec![page("")]
        }
    })
    .await;
    let mut source = DirectorySource::new(server.settings.clone()).unwrap();
    let gone = Anchor::Uuid([1; 16]);
    let error = find(&mut source, &[gone]).await.unwrap_err();
    assert_told(
        &error,
        Reason::AccessDenied,
        "right to search on `entryuuid`",
    );
}

#[tokio::test]
async fn a_child_domain_that_the_server_refers_to_is_shown_as_subordinate() {
    let url = "ldap://child.example.com/DC=child,DC=example,DC=com";
    let server = Scripted::start(Shown::ActiveDirectory, move |request, _| {
        let own = "ldap://example.com/CN=Configuration,DC=example,DC=com";
        let mut replies = Vec::new();
        if request.scope == ldap3_proto::proto::LdapSearchScope::Subtree {
            for uri in [url, own] {
                let reference = LdapSearchResultReference {
                    uris: vec![uri.to_owned()],
                };
                replies.push(Reply::Message(
                    LdapOp::SearchResultReference(reference),
                    vec![],
                ));
            }
        } else {
            replies.push(entry(BASE, &[("objectClass", vec!["domain"])]));
        }
        replies.push(page(""));
        replies
    })
    .await;
    let mut source = DirectorySource::new(server.settings.clone()).unwrap();
    read(&mut source, &["cn"]).await.0.unwrap();
    assert!(source.subordinate_contexts().any(|shown| shown == url));
}
