//! Faults on order: each hits once, shows as an error and not as a shorter answer, and leaves nothing behind.

use plumbline_lab::directory::{Change, Fault};
use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn a_cut_connection_is_an_error_wherever_it_is_cut() {
    for profile in [Profile::OpenLdap, Profile::Ad] {
        let world = World::start(profile, 40).await;
        let filter = people_filter(profile);
        let whole = paged(&mut world.read().await, &world.base(), filter, 10)
            .await
            .unwrap()
            .names
            .len();
        for bytes in [1, 2, 100, 1_000, 5_000, 12_345] {
            let mut ldap = world.read().await;
            world.directory.inject(Fault::CutAfterBytes(bytes));
            assert!(
                paged(&mut ldap, &world.base(), filter, 10).await.is_err(),
                "{profile:?} {bytes}"
            );
            let again = paged(&mut world.read().await, &world.base(), filter, 10)
                .await
                .unwrap();
            assert_eq!(again.names.len(), whole, "the fault is spent");
        }
    }
}

#[tokio::test]
async fn busy_and_reset_hit_so_many_searches_and_no_root_dse() {
    let world = World::start(Profile::OpenLdap, 5).await;
    let mut ldap = world.read().await;
    world.directory.inject(Fault::Busy(2));
    assert_eq!(
        search(&mut ldap, "", Scope::Base, "(objectClass=*)", &[])
            .await
            .result
            .rc,
        0
    );
    for expected in [51, 51, 0] {
        assert_eq!(
            search(
                &mut ldap,
                &world.base(),
                Scope::Base,
                "(objectClass=*)",
                &[]
            )
            .await
            .result
            .rc,
            expected
        );
    }
    world.directory.inject(Fault::Reset);
    assert!(
        ldap.search(&world.base(), Scope::Base, "(objectClass=*)", vec!["1.1"])
            .await
            .is_err()
    );
    assert_eq!(
        search(
            &mut world.read().await,
            &world.base(),
            Scope::Base,
            "(objectClass=*)",
            &[]
        )
        .await
        .result
        .rc,
        0
    );
}

#[tokio::test]
async fn all_connections_end_on_order_and_with_the_directory() {
    let world = World::start(Profile::OpenLdap, 5).await;
    let mut ldap = world.read().await;
    world.directory.disconnect_all();
    assert!(
        ldap.search(&world.base(), Scope::Base, "(objectClass=*)", vec!["1.1"])
            .await
            .is_err()
    );
    let (mut ldap, url, base) = (world.read().await, world.directory.ldap_url(), world.base());
    drop(world);
    assert!(
        ldap.search(&base, Scope::Base, "(objectClass=*)", vec!["1.1"])
            .await
            .is_err()
    );
    assert!(connect(&url, false, None).await.is_err());
}

/// On AD an entry that moves against the order of the index is in no page; slapd's order is that of adding.
#[tokio::test]
async fn an_entry_that_moves_between_two_pages_is_missed_on_ad_and_found_on_slapd() {
    for (profile, found) in [(Profile::OpenLdap, true), (Profile::Ad, false)] {
        let world = World::start(profile, 120).await;
        let in_unit = |name: &str| {
            let unit = world.company.unit_named(name).unwrap();
            *world
                .company
                .people()
                .iter()
                .rfind(|(_, each)| each.unit == unit)
                .unwrap()
                .0
        };
        // Engineering was made first, so it is read first.
        let person = in_unit("東京支社");
        let (dn, login) = (
            world.company.dn(person).unwrap(),
            world.company.people()[&person].login.clone(),
        );
        let target = world
            .company
            .dn(world.company.unit_named("Engineering").unwrap())
            .unwrap();
        let rdn = plumbline_lab::directory::Dn::parse(&dn).unwrap().0[0]
            .render(plumbline_lab::directory::Escaping::Backslash);
        let mut moved = false;
        world.directory.between_pages(move |store, page| {
            if page == 4 && !std::mem::replace(&mut moved, true) {
                let change = Change::Rename {
                    dn: dn.clone(),
                    new_rdn: rdn.clone(),
                    delete_old_rdn: false,
                    new_superior: Some(target.clone()),
                };
                store.apply(&change).unwrap();
            }
        });
        let name = if profile == Profile::Ad {
            "sAMAccountName"
        } else {
            "uid"
        };
        let read = paged(
            &mut world.read().await,
            &world.base(),
            people_filter(profile),
            20,
        )
        .await
        .unwrap();
        assert_eq!(read.result.rc, 0);
        let seen = read
            .names
            .iter()
            .any(|dn| read.texts(dn, name) == [login.as_str()]);
        assert_eq!(seen, found, "{profile:?}");
        let filter = format!("({name}={login})");
        assert_eq!(
            paged(&mut world.read().await, &world.base(), &filter, 20)
                .await
                .unwrap()
                .names
                .len(),
            1,
            "it never was gone"
        );
    }
}

/// One page of five: names, the claimed count, and the cookie, if the control can be read.
async fn page(
    ldap: &mut Ldap,
    base: &str,
    cookie: Vec<u8>,
) -> (Vec<String>, Option<(i32, Vec<u8>)>) {
    let control = ldap3::controls::PagedResults { size: 5, cookie };
    let found = ldap
        .with_controls(vec![RawControl::from(control)])
        .search(base, Scope::Subtree, "(objectClass=*)", vec!["cn"])
        .await
        .unwrap();
    let value = found.1.ctrls[0].1.val.clone().unwrap();
    let read = ldap3_lber::Parser::new(5).parse(&value).ok();
    let parts = read.and_then(|(_, tag)| tag.expect_constructed());
    let control = parts.map(|parts| {
        let bytes = |at: usize| parts[at].clone().expect_primitive().unwrap();
        let size = bytes(0)
            .iter()
            .fold(0, |size, byte| size << 8 | i32::from(*byte));
        (size, bytes(1))
    });
    (Read::new(found.0, found.1).names, control)
}

#[tokio::test]
async fn a_page_can_repeat_its_cookie_lie_about_the_count_and_carry_a_broken_control() {
    for profile in [Profile::OpenLdap, Profile::Ad] {
        let world = World::start(profile, 20).await;
        let (mut ldap, base) = (world.read().await, world.base());
        let (_, control) = page(&mut ldap, &base, Vec::new()).await;
        let (size, first) = control.unwrap();
        assert_eq!(size, 0, "no count is told");
        world.directory.inject(Fault::RepeatedCookie);
        let (names, control) = page(&mut ldap, &base, first.clone()).await;
        assert_eq!(control.unwrap().1, first);
        world.directory.inject(Fault::FalseCount(3));
        let (again, control) = page(&mut ldap, &base, first.clone()).await;
        let (size, third) = control.unwrap();
        assert_eq!(
            (&again, size),
            (&names, 3),
            "{profile:?}: the same page again"
        );
        assert_ne!(third, first);
        world.directory.inject(Fault::GarbledControl);
        assert_eq!(page(&mut ldap, &base, third).await.1, None);
        world.directory.inject(Fault::MissingEntries(2));
        assert_eq!(page(&mut ldap, &base, Vec::new()).await.0.len(), 3);
        assert_eq!(page(&mut ldap, &base, Vec::new()).await.0.len(), 5);
    }
}

#[tokio::test]
async fn a_range_can_have_fewer_values_than_it_says() {
    let world = World::start(Profile::Ad, 30).await;
    let mut ldap = world.read().await;
    let group = world
        .company
        .dn(world.company.group_named("#general").unwrap())
        .unwrap();
    world.directory.inject(Fault::FewerValues);
    for count in [2, 3] {
        let read = search(
            &mut ldap,
            &group,
            Scope::Base,
            "(objectClass=*)",
            &["member;range=0-2"],
        )
        .await;
        assert_eq!(read.entries[&group]["member;range=0-2"].len(), count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever bytes arrive, the connection ends or waits, and the next client is served.
    #[test]
    fn garbage_from_a_client_ends_its_connection_only(mut bytes in prop::collection::vec(any::<u8>(), 1..400), framed: bool) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        if framed {
            // A message of the right length with a search inside, so that the filter's reader is reached.
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            let operation = [&[0x63, 0x82][..], &length, &bytes].concat();
            let outer = u16::try_from(operation.len() + 3).unwrap().to_be_bytes();
            bytes = [&[0x30, 0x82][..], &outer, &[2, 1, 1], &operation].concat();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::start(Profile::Ad, 0).await;
            let address = world.directory.ldap_url().trim_start_matches("ldap://").to_owned();
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            // The server closes, with or without an answer or a reset.
            let _ = stream.read_to_end(&mut answer).await;
            let read = search(&mut world.read().await, &world.base(), Scope::Base, "(objectClass=*)", &["1.1"]).await;
            assert_eq!(read.names.len(), 1);
        });
    }
}
