use super::*;
use crate::{
    port::{News, ObjectChange, Removal},
    target::Changes,
};

const MARK: &str = "owner";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
}

fn id(text: &str) -> TargetId {
    TargetId(text.into())
}

/// So long that only its digest is kept.
fn text(value: &str) -> Value {
    Value::Text(format!("{value}, two flights up"))
}

fn kept(value: &str) -> Kept {
    Kept::Value(text(value))
}

fn object(class: Class, name: &str) -> TargetObject {
    let mark = Mark {
        owner: MARK.into(),
        anchor: Anchor::from_text(name),
    };
    TargetObject {
        mark: Some(mark),
        attributes: Values::from([("city".to_owned(), text("Bonn"))]),
        members: (class == Class::Group).then(|| vec![id("u")]),
        id: id(name),
        class,
        immutable_id: None,
        manager: None,
        standing: Standing::default(),
    }
}

/// A user `u` and a group `g` that has him.
fn view() -> TargetView {
    let mut view = TargetView::default();
    let objects = vec![object(Class::User, "u"), object(Class::Group, "g")];
    for event in [
        Observation::Begin { complete: true },
        Observation::Batch(objects),
        Observation::End {
            cursor: Some(Cursor(vec![1])),
        },
    ] {
        view.observe(event, at(0));
    }
    view
}

fn deltas(view: &mut TargetView, events: Vec<Observation>, minute: i64) {
    view.observe(Observation::Begin { complete: false }, at(minute));
    for event in events {
        view.observe(event, at(minute));
    }
    let cursor = Some(Cursor(vec![2]));
    view.observe(Observation::End { cursor }, at(minute));
}

fn city(value: Option<&str>) -> Observation {
    let mut change = ObjectChange::new(Class::User, id("u"));
    change.attributes = Changes::from([("city".to_owned(), value.map(text))]);
    Observation::Changed(vec![change])
}

fn removed(restorable: bool) -> Observation {
    Observation::Removed(vec![Removal {
        id: id("u"),
        restorable,
    }])
}

fn held(view: &TargetView) -> Option<Kept> {
    view.get(&id("u"))?.attributes.get("city").cloned()
}

/// We write a city, and the target confirms it.
fn write(view: &mut TargetView, value: &str, minute: i64) {
    let operation = Operation {
        class: Class::User,
        anchor: Anchor::from_text("u"),
        target: Some(id("u")),
        change: Change::Update {
            changes: Changes::from([("city".to_owned(), Some(text(value)))]),
        },
    };
    let none = Values::new();
    view.confirm(&operation, id("u"), None, &none, "enabled", at(minute));
}

#[test]
fn a_delta_changes_what_it_names_and_a_repetition_changes_nothing() {
    let mut view = view();
    let mut user = ObjectChange::new(Class::User, id("u"));
    user.attributes = Changes::from([("title".to_owned(), Some(text("Dr.")))]);
    user.manager = News::Now(Some(id("m")));
    let mut group = ObjectChange::new(Class::Group, id("g"));
    (group.joined, group.left) = (vec![id("v"), id("w")], vec![id("u"), id("x")]);
    let events = vec![Observation::Changed(vec![user, group])];
    for _ in 0..2 {
        deltas(&mut view, events.clone(), 1);
        let user = view.get(&id("u")).unwrap();
        assert_eq!(held(&view), Some(kept("Bonn")));
        assert_eq!(user.attributes.get("title"), Some(&kept("Dr.")));
        assert_eq!(user.manager, Some(id("m")));
        let group = view.get(&id("g")).unwrap();
        assert_eq!(group.members, Some(vec![id("v"), id("w")]));
        assert!(group.mark.is_some());
    }
    let slots: Vec<Slot> = view.touched().into_iter().map(|it| it.slot).collect();
    assert_eq!(
        slots,
        [
            Slot::Attribute("title".to_owned()),
            Slot::Manager,
            Slot::Member(id("v")),
            Slot::Member(id("w")),
            Slot::Member(id("u")),
        ]
    );
}

#[test]
fn a_delta_without_its_end_changes_neither_the_view_nor_the_cursor() {
    let mut view = view();
    view.observe(Observation::Begin { complete: false }, at(1));
    view.observe(city(Some("Köln")), at(1));
    assert_eq!(held(&view), Some(kept("Bonn")));
    assert_eq!(view.cursor(), Some(&Cursor(vec![1])));
    deltas(&mut view, vec![city(None)], 2);
    assert_eq!(held(&view), None);
    assert_eq!(view.cursor(), Some(&Cursor(vec![2])));
}

#[test]
fn a_removed_object_waits_among_the_deleted_until_it_returns_or_is_purged() {
    let mut view = view();
    deltas(&mut view, vec![removed(true)], 1);
    assert!(view.get(&id("u")).is_none());
    assert_eq!(view.deleted().count(), 1);
    deltas(&mut view, vec![city(Some("Köln"))], 2);
    assert_eq!(held(&view), Some(kept("Köln")));
    assert!(view.get(&id("u")).unwrap().mark.is_some());
    for restorable in [true, false] {
        deltas(&mut view, vec![removed(restorable)], 3);
        assert_eq!(view.deleted().count(), usize::from(restorable));
    }
}

#[test]
fn an_object_that_was_not_known_has_what_the_delta_says() {
    let mut view = view();
    let mut change = ObjectChange::new(Class::Group, id("new"));
    change.members = News::Now(vec![id("u")]);
    change.privileged = News::Now(true);
    deltas(
        &mut view,
        vec![Observation::Changed(vec![change.clone()])],
        1,
    );
    assert!(
        view.get(&id("new")).is_none(),
        "it may be no object of ours at all"
    );
    change.attributes = Changes::from([("city".to_owned(), None)]);
    deltas(&mut view, vec![Observation::Changed(vec![change])], 1);
    let object = view.get(&id("new")).unwrap();
    assert_eq!(object.members, Some(vec![id("u")]));
    assert!(object.standing.privileged && object.mark.is_none());
}

#[test]
fn after_our_write_a_delta_tells_stale_values_from_those_of_others() {
    // Minutes and what deltas say, after `Köln` was written over `Bonn` at 1, and what is held at the end.
    let cases: &[(&[(i64, &str)], &str)] = &[
        (&[(2, "Köln")], "Köln"),
        // From before our write.
        (&[(2, "Bonn")], "Köln"),
        (&[(2, "Bonn"), (3, "Köln")], "Köln"),
        // Our write was seen, so this is a change back.
        (&[(2, "Köln"), (3, "Bonn")], "Bonn"),
        // Never ours nor before.
        (&[(2, "Mainz")], "Mainz"),
        (&[(2, "Bonn"), (3, "Mainz")], "Mainz"),
        // Ours never came: it had been changed back before the target told of it.
        (&[(2, "Bonn"), (12, "")], "Bonn"),
    ];
    for (said, expected) in cases {
        let mut view = view();
        write(&mut view, "Köln", 1);
        for (minute, value) in *said {
            let events = if value.is_empty() {
                Vec::new()
            } else {
                vec![city(Some(value))]
            };
            deltas(&mut view, events, *minute);
        }
        assert_eq!(held(&view), Some(kept(expected)), "{said:?}");
    }
}

#[test]
fn a_stale_delta_neither_brings_back_what_we_deleted_nor_removes_what_we_restored() {
    let mut view = view();
    let change = |change| Operation {
        class: Class::User,
        anchor: Anchor::from_text("u"),
        target: Some(id("u")),
        change,
    };
    let none = Values::new();
    view.confirm(&change(Change::Delete), id("u"), None, &none, "", at(1));
    deltas(&mut view, vec![city(Some("Köln"))], 2);
    assert!(view.get(&id("u")).is_none());
    deltas(&mut view, vec![removed(true)], 3);
    let restore = Change::Restore {
        mark: object(Class::User, "u").mark.unwrap(),
        changes: Changes::new(),
    };
    view.confirm(&change(restore), id("u"), None, &none, "", at(4));
    deltas(&mut view, vec![removed(true)], 5);
    assert_eq!(held(&view), Some(kept("Bonn")));
}

#[test]
fn a_complete_read_is_overruled_by_our_writes_for_ten_minutes_and_tells_what_others_changed() {
    let mut view = view();
    write(&mut view, "Köln", 1);
    let read = |view: &mut TargetView, minute| {
        view.observe(Observation::Begin { complete: true }, at(minute));
        let objects = vec![object(Class::User, "u")];
        view.observe(Observation::Batch(objects), at(minute));
        view.observe(Observation::End { cursor: None }, at(minute));
    };
    read(&mut view, 10);
    assert_eq!(held(&view), Some(kept("Köln")));
    let gone: Vec<Slot> = view.touched().into_iter().map(|it| it.slot).collect();
    assert_eq!(gone, [Slot::Live]);
    read(&mut view, 11);
    assert_eq!(held(&view), Some(kept("Bonn")));
    let changed: Vec<Slot> = view.touched().into_iter().map(|it| it.slot).collect();
    assert_eq!(changed, [Slot::Attribute("city".to_owned())]);
}

fn with_street(street: &str) -> TargetObject {
    let mut user = object(Class::User, "u");
    user.attributes.insert("street".to_owned(), text(street));
    user
}

fn read(view: &mut TargetView, objects: Vec<TargetObject>, minute: i64) {
    view.observe(Observation::Begin { complete: true }, at(minute));
    view.observe(Observation::Batch(objects), at(minute));
    view.observe(Observation::End { cursor: None }, at(minute));
}

#[test]
fn a_value_in_a_record_is_a_digest_that_tells_it_from_any_other() {
    let mut view = view();
    read(&mut view, vec![with_street("Long Lane")], 1);
    let object = view.get(&id("u")).unwrap();
    assert!(matches!(object.attributes["street"], Kept::Digest(_)));
    let packed = |view: &TargetView| view.packed.get(0).to_vec();
    let before = packed(&view);
    assert!(before.len() < 60, "{} bytes", before.len());
    view.touched();
    read(&mut view, vec![with_street("Long Lane")], 2);
    assert_eq!((packed(&view), view.touched()), (before, Vec::new()));
    read(&mut view, vec![with_street("Long Line")], 3);
    let slots: Vec<Slot> = view.touched().into_iter().map(|it| it.slot).collect();
    assert_eq!(slots, [Slot::Attribute("street".to_owned())]);
}

#[test]
fn values_that_someone_needs_are_read_anew_where_only_digests_were_kept() {
    let mut view = view();
    assert!(view.complete());
    view.keep_values();
    assert!(!view.complete() && view.cursor().is_none());
    read(&mut view, vec![with_street("Long Lane")], 1);
    let object = view.get(&id("u")).unwrap();
    assert_eq!(
        object.attributes["street"].value(),
        Some(&text("Long Lane"))
    );
    view.keep_values();
    assert!(view.complete());
}
