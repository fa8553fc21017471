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
