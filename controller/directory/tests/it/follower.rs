//! A company in a directory, a consumer that follows it by one feed, and what both can be made to go through.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use plumbline_directory::{Detect, DirectorySource, FeedKind, Settings};
use plumbline_engine::port::{Cause, Source as _};
use tokio::time::timeout;

use crate::{company::Company, consumer::Consumer, proxy::Proxy, server::Server};

/// See the module.
pub(crate) struct Follower {
    pub(crate) company: Company,
    pub(crate) settings: Settings,
    pub(crate) source: DirectorySource,
    pub(crate) consumer: Consumer,
}

impl Follower {
    /// By content synchronisation, with everything read once.
    pub(crate) async fn begin(server: &Server, name: &str) -> Self {
        let company = Company::found(server, name, 7).await;
        let settings = Settings {
            base_dn: company.base.clone(),
            detect: Detect::Only(FeedKind::ContentSync),
            ..server.settings()
        };
        Self::with(company, settings).await
    }

    pub(crate) async fn with(company: Company, settings: Settings) -> Self {
        let mut source = DirectorySource::new(settings.clone()).unwrap();
        let mut consumer = Consumer::new(&["cn", "title", "member", "uid"]);
        consumer.cycle(&mut source).await.unwrap();
        assert!(consumer.entries.len() > 3 && consumer.cursor.is_some());
        Self {
            company,
            settings,
            source,
            consumer,
        }
    }

    /// The program ends: nothing is open any more, and nothing is known but entries and cursor.
    pub(crate) fn sleep(&mut self) {
        self.source = DirectorySource::new(self.settings.clone()).unwrap();
    }

    /// Waits for a change to arrive by itself, and takes it.
    pub(crate) async fn told(&mut self) {
        timeout(Duration::from_secs(10), self.source.changed())
            .await
            .unwrap_or_else(|_| panic!("nothing arrives"))
            .unwrap();
        self.consumer.cycle(&mut self.source).await.unwrap();
    }

    /// Catches up and holds that nothing is wrong and that only this was listed beside what containers hide.
    pub(crate) async fn assert_current(&mut self, listed: &[(Cause, usize)]) {
        self.consumer.catch_up(&mut self.source).await;
        self.consumer.assert_current(self.settings.clone()).await;
        assert_eq!(self.consumer.relisted(), listed.iter().copied().collect());
    }

    /// Some of everything: a leaf changed, renamed, deleted, moved out and in; a unit renamed, moved out and in with its people.
    pub(crate) async fn upheaval(&mut self) {
        let company = &mut self.company;
        let (base, outside) = (company.base.clone(), company.outside.clone());
        let unit = |name: &str, place: &str| format!("ou={name},{place}");
        for (name, place) in [("in", &outside), ("out", &base), ("old", &base)] {
            company.unit(&unit(name, place)).await;
            for uid in ["a", "b"] {
                company
                    .person(&format!("{name}-{uid}"), &unit(name, place))
                    .await;
            }
        }
        for uid in ["changed", "renamed", "deleted", "leaves"] {
            company.person(uid, &base).await;
        }
        company.person("enters", &outside).await;
        self.consumer.catch_up(&mut self.source).await;
        self.sleep();
        let company = &mut self.company;
        company
            .modify(&format!("uid=changed,{base}"), "title", &["new"])
            .await;
        company
            .rename(&format!("uid=renamed,{base}"), "uid=other", None)
            .await;
        company.delete(&format!("uid=deleted,{base}")).await;
        company
            .rename(&format!("uid=leaves,{base}"), "uid=leaves", Some(&outside))
            .await;
        company
            .rename(&format!("uid=enters,{outside}"), "uid=enters", Some(&base))
            .await;
        company.rename(&unit("old", &base), "ou=new", None).await;
        company
            .rename(&unit("out", &base), "ou=out", Some(&outside))
            .await;
        company
            .rename(&unit("in", &outside), "ou=in", Some(&base))
            .await;
        // Comes and goes unseen.
        let ghost = company.person("ghost", &base).await;
        company.delete(&ghost).await;
    }
}

/// A directory lives through 300 operations with disconnects, while what it has is read only from time to time. Gives what was listed
/// beside what containers hide.
pub(crate) async fn live_through(
    mut company: Company,
    direct: Settings,
    attributes: &[&str],
) -> BTreeMap<Cause, usize> {
    let target: SocketAddr = (direct.servers[0].trim_start_matches("ldaps://"))
        .parse()
        .unwrap();
    let proxy = Proxy::start(&target.ip().to_string(), target).await;
    let mut settings = direct.clone();
    settings.servers = vec![format!("ldaps://{}", proxy.address)];
    settings.timeouts.answer = Duration::from_secs(5);
    let mut source = DirectorySource::new(settings).unwrap();
    let mut consumer = Consumer::new(attributes);
    consumer.catch_up(&mut source).await;
    let mut failed = 0;
    for operation in 0..300 {
        company.live().await;
        match company.random.below(12) {
            0 => proxy.cut(),
            1 => proxy.allow(company.random.below(6000)),
            2 => proxy.allow(usize::MAX),
            3..=6 => failed += usize::from(consumer.cycle(&mut source).await.is_err()),
            7 => {
                // May be dropped at any time.
                let _ = timeout(Duration::from_millis(20), source.changed()).await;
            }
            _ => {}
        }
        if operation % 100 == 99 {
            proxy.allow(usize::MAX);
            consumer.catch_up(&mut source).await;
            consumer.assert_current(direct.clone()).await;
        }
    }
    assert!(failed > 3, "the disconnects hit only {failed} reads");
    assert!(company.done.len() >= 11, "{:?}", company.done);
    consumer.relisted()
}
