//! The real directories as scenarios get them: over TLS, and with accounts that may do what a connector needs and no more.

use plumbline_e2e::{OpenLdap, Samba};

#[test]
fn the_reader_of_samba_reads_and_lists_what_was_deleted_and_writes_nothing() {
    let samba = Samba::start().unwrap();
    let base = samba.base_dn().unwrap();
    let (administrator, reader) = (samba.administrator().unwrap(), samba.reader().unwrap());
    let anna = format!("CN=Anna,CN=Users,{base}");
    administrator
        .modify(&format!(
            "dn: {anna}\nobjectClass: user\nsAMAccountName: anna\n"
        ))
        .unwrap();
    let found = reader
        .search(base, "sub", "(sAMAccountName=anna)", &["sAMAccountName"])
        .unwrap();
    assert!(found.contains(&format!("dn: {anna}")), "{found}");

    let refused = reader.modify(&format!(
        "dn: {anna}\nchangetype: modify\nreplace: title\ntitle: Chief\n"
    ));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("Insufficient access")
    );
    let replication = samba.tool(&["dsacl", "get", "--objectdn", base]).unwrap();
    let reader_sid = samba
        .tool(&["user", "show", "svc-reader", "--attributes=objectSid"])
        .unwrap();
    let reader_sid = reader_sid
        .lines()
        .find_map(|line| line.strip_prefix("objectSid: "))
        .unwrap();
    assert!(
        !replication.contains(reader_sid),
        "the reader has rights of its own on the domain"
    );

    administrator
        .modify(&format!("dn: {anna}\nchangetype: delete\n"))
        .unwrap();
    // Show deleted, show recycled.
    let options = [
        "-LLL",
        "-E",
        "!1.2.840.113556.1.4.417",
        "-E",
        "!1.2.840.113556.1.4.2064",
        "-b",
        base,
    ];
    let deleted = |login: &plumbline_e2e::Login| {
        let mut search = login.program("ldapsearch", &options);
        let output = search
            .args([
                "(&(isDeleted=TRUE)(sAMAccountName=anna))",
                "lastKnownParent",
            ])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(
        deleted(&reader).contains("lastKnownParent:"),
        "{}",
        deleted(&reader)
    );
}

#[test]
fn simple_binds_without_tls_are_refused_by_both_servers() {
    let samba = Samba::start().unwrap();
    let ldap = OpenLdap::start().unwrap();
    for (url, login) in [
        (samba.ldap_url().unwrap(), samba.reader().unwrap()),
        (ldap.ldap_url().unwrap(), ldap.reader().unwrap()),
    ] {
        let mut plain = login.clone();
        url.clone_into(&mut plain.url);
        let refusal = plain
            .search("", "base", "(objectClass=*)", &["1.1"])
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains("onfidentiality required")
                || refusal.contains("Strong(er) authentication"),
            "{refusal}"
        );
        login
            .search("", "base", "(objectClass=*)", &["1.1"])
            .unwrap();
    }
}

#[test]
fn the_reader_of_openldap_reads_everything_but_passwords() {
    let ldap = OpenLdap::start().unwrap();
    let suffix = ldap.suffix().unwrap();
    let person = format!(
        "dn: uid=anna,{suffix}\nobjectClass: inetOrgPerson\nuid: anna\ncn: Anna\nsn: A\nuserPassword: secret\n"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), person).unwrap();
    ldap.load(file.path()).unwrap();
    let reader = ldap.reader().unwrap();
    let found = reader
        .search(suffix, "sub", "(uid=anna)", &["*", "entryUUID"])
        .unwrap();
    assert!(
        found.contains("entryUUID:") && !found.contains("userPassword"),
        "{found}"
    );
    let refused = reader.modify(&format!("dn: uid=anna,{suffix}\nchangetype: delete\n"));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("Insufficient access")
    );
}
