use super::*;

const GUID: [u8; 16] = [
    0x0b, 0x0b, 0x04, 0xe7, 0xf0, 0x86, 0x34, 0x44, 0xab, 0x9c, 0xd4, 0x9a, 0x20, 0x93, 0xac, 0xb4,
];
const OTHER: [u8; 16] = [7; 16];

fn attributes(items: &[(&str, &[&[u8]])]) -> Attributes {
    items
        .iter()
        .map(|(name, values)| (*name, values.iter().map(|v| v.to_vec()).collect()))
        .collect()
}

#[test]
fn active_directory_users_are_anchored_by_the_consistency_guid_if_there_is_one() {
    let rule = AnchorRule::new(ServerType::ActiveDirectory, None);
    let both = attributes(&[
        ("objectGUID", &[&GUID]),
        ("mS-DS-ConsistencyGuid", &[&OTHER]),
    ]);
    let (guid, other) = (Some(Anchor::Uuid(GUID)), Some(Anchor::Uuid(OTHER)));
    assert_eq!(rule.read(EntryKind::User, &both), (other, guid.clone()));
    let plain = attributes(&[("objectGUID", &[&GUID])]);
    assert_eq!(rule.read(EntryKind::User, &plain), (guid.clone(), None));
    // Of groups and contacts the directory's own name counts, whatever the other says.
    for kind in [
        EntryKind::SecurityGroup,
        EntryKind::Contact,
        EntryKind::Container,
    ] {
        assert_eq!(rule.read(kind, &both), (guid.clone(), None));
    }
    let short = attributes(&[
        ("objectGUID", &[&GUID]),
        ("mS-DS-ConsistencyGuid", &[b"short"]),
    ]);
    assert_eq!(rule.read(EntryKind::User, &short), (None, guid));
}

#[test]
fn other_servers_are_anchored_by_entry_uuid() {
    let rule = AnchorRule::new(ServerType::OpenLdap, None);
    let entry = attributes(&[("entryUUID", &[b"0b0b04e7-f086-3444-ab9c-d49a2093acb4"])]);
    for kind in [
        EntryKind::User,
        EntryKind::SecurityGroup,
        EntryKind::Container,
    ] {
        assert_eq!(rule.read(kind, &entry), (Some(Anchor::Uuid(GUID)), None));
    }
    for broken in [&[b"0b0b04e7".as_slice()] as &[&[u8]], &[], &[b"\xff"]] {
        assert_eq!(
            rule.read(EntryKind::User, &attributes(&[("entryUUID", broken)])),
            (None, None)
        );
    }
}

#[test]
fn a_chosen_attribute_anchors_users_only_and_must_have_one_value() {
    let rule = AnchorRule::new(ServerType::OpenLdap, Some("employeeNumber"));
    let uuid: &[&[u8]] = &[b"0b0b04e7-f086-3444-ab9c-d49a2093acb4"];
    let entry = attributes(&[("entryUUID", uuid), ("employeeNumber", &[b"E42"])]);
    assert_eq!(
        rule.read(EntryKind::User, &entry),
        (Some(Anchor::Text("E42".into())), Some(Anchor::Uuid(GUID)))
    );
    assert_eq!(
        rule.read(EntryKind::SecurityGroup, &entry),
        (Some(Anchor::Uuid(GUID)), None)
    );
    for values in [
        &[b"".as_slice()] as &[&[u8]],
        &[],
        &[b"1", b"2"],
        &[b"\xff"],
    ] {
        let entry = attributes(&[("entryUUID", uuid), ("employeeNumber", values)]);
        assert_eq!(
            rule.read(EntryKind::User, &entry),
            (None, Some(Anchor::Uuid(GUID)))
        );
    }
}

#[test]
fn entries_of_389_ds_and_free_ipa_bear_the_name_that_changes_are_told_by() {
    let unique: &[&[u8]] = &[b"0b0b04e7-f0863444-ab9cd49a-2093acb4"];
    let ipa: &[&[u8]] = &[b"66446001-199a-11b2-6644-6001aabb11b2"];
    let own = Some(Anchor::Uuid(GUID));
    let entry = attributes(&[("nsUniqueId", unique), ("ipaUniqueID", ipa)]);
    let rule = AnchorRule::new(ServerType::DirectoryServer389, None);
    assert_eq!(rule.read(EntryKind::User, &entry), (own.clone(), None));
    let rule = AnchorRule::new(ServerType::FreeIpa, None);
    let anchor = Anchor::from_printed_uuid("66446001-199a-11b2-6644-6001aabb11b2");
    for kind in [EntryKind::User, EntryKind::SecurityGroup] {
        assert_eq!(rule.read(kind, &entry), (anchor.clone(), own.clone()));
    }
    // A staged user has no anchor yet; a container never has one of its own.
    let entry = attributes(&[("nsUniqueId", unique)]);
    assert_eq!(rule.read(EntryKind::User, &entry), (None, own.clone()));
    assert_eq!(rule.read(EntryKind::Container, &entry), (own, None));
}

#[test]
fn searches_use_the_form_that_the_attribute_has() {
    let raw = "\\0b\\0b\\04\\e7\\f0\\86\\34\\44\\ab\\9c\\d4\\9a\\20\\93\\ac\\b4";
    let text =
        |anchor: &Anchor, server_type, chosen| AnchorRule::new(server_type, chosen).filter(anchor);
    let guid = Anchor::Uuid(GUID);
    assert_eq!(
        text(&guid, ServerType::ActiveDirectory, None),
        Some(format!(
            "(|(objectguid={raw})(ms-ds-consistencyguid={raw}))"
        ))
    );
    assert_eq!(
        text(&guid, ServerType::OpenLdap, None).as_deref(),
        Some("(entryuuid=0b0b04e7-f086-3444-ab9c-d49a2093acb4)")
    );
    assert_eq!(
        text(&guid, ServerType::Generic, Some("nsUniqueId")).as_deref(),
        Some(
            "(|(entryuuid=0b0b04e7-f086-3444-ab9c-d49a2093acb4)(nsuniqueid=0b0b04e7-f0863444-ab9cd49a-2093acb4))"
        )
    );
    // What a value holds never ends the filter.
    assert_eq!(
        text(
            &Anchor::from_text("a*)("),
            ServerType::OpenLdap,
            Some("uid")
        )
        .as_deref(),
        Some("(uid=\\61\\2a\\29\\28)")
    );
    assert_eq!(
        text(&Anchor::from_text("a"), ServerType::OpenLdap, None),
        None
    );
}
