//! Against a real OpenLDAP.

use plumbline_directory::{DeletedObjects, DirectorySource};
use plumbline_engine::entry::{EntryKind, ServerType};

use crate::server::{Server, read};

#[tokio::test]
async fn people_groups_and_containers_are_read_with_their_anchors() {
    let server = Server::openldap("127.0.0.21", &[]);
    let mut source = DirectorySource::new(server.settings()).unwrap();
    let facts = source.probe().await.unwrap();
    assert_eq!(facts.server_type, ServerType::OpenLdap);
    assert_eq!(facts.deleted_objects, DeletedObjects::NotOffered);
    assert_eq!(facts.naming_contexts, ["dc=example,dc=com"]);
    let (outcome, seen) = read(&mut source, &["mail", "member"]).await;
    outcome.unwrap();
    let anna = seen.entry("uid=anna");
    assert_eq!(anna.kind, EntryKind::User);
    assert_eq!(anna.attributes.get("mail"), [b"anna@example.com".to_vec()]);
    assert!(
        anna.attributes.get("objectclass").is_empty(),
        "only what was requested is handed on"
    );
    assert_eq!(seen.entry("cn=staff").kind, EntryKind::SecurityGroup);
    assert_eq!(seen.entry("cn=staff").attributes.get("member").len(), 3);
    assert_eq!(seen.entry("ou=people").kind, EntryKind::Container);
    assert!(seen.entries.iter().all(|entry| entry.anchor.is_some()));
}
