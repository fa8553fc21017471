//! F6: an initial export under the published quota of Graph, against the lab tenant: 2,000 people and 200 groups of 50, of which each
//! takes three writes. In real time, half a minute of it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures::future::BoxFuture;
use plumbline_cloud::{Auth, Credentials, Endpoints, GraphTarget, PaceLimit, Session, Settings};
use plumbline_engine::{
    anchor::Anchor,
    entry::Class,
    operation::{Change, Operation, Outcome},
    port::{Permit, Target as _, TargetRead},
    target::{Mark, Value, Values},
};
use plumbline_lab::tenant::{Config, LabTenant};

use crate::Row;

/// Writes that the quota lets through at once, before the usage header ends the burst.
const BURST: usize = 2_400;
/// 3,000 in 150 s.
const PACE: f64 = 20.0;
const OWNER: &str = "corp.bench";

struct Always;

impl Permit for Always {
    fn granted(&self) -> bool {
        true
    }

    fn withdrawn(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

pub(super) async fn run() -> Result<Row> {
    let tenant = LabTenant::start(Config::default()).await?;
    let credentials = Credentials {
        tenant_id: tenant.tenant_id(),
        client_id: tenant.client_id(),
        auth: Auth::ClientSecret(tenant.client_secret().into()),
    };
    let endpoints = Endpoints::custom(tenant.authority(), tenant.graph());
    let session = Session::new(credentials, endpoints, Some(tenant.ca_pem()))?;
    let settings = Settings {
        pace: PaceLimit::default(),
        observer: None,
    };
    let mut target = GraphTarget::new(Arc::new(session), settings);
    target.define_mark().await?;
    let request = TargetRead {
        owner: OWNER.to_owned(),
        ..TargetRead::default()
    };
    target.read(&request, None, &mut |_| ()).await?;
    tenant.clear_log();

    let mut operations: Vec<Operation> = (0..2_000).map(|at| create(Class::User, at)).collect();
    operations.extend((0..200).map(|at| create(Class::Group, at)));
    operations.extend((0..200).flat_map(|group| (group..group + 50).map(move |at| add(group, at))));
    let mut failed = 0;
    let mut count = |_, outcome: Outcome| {
        failed += usize::from(!matches!(outcome, Outcome::Done { .. }));
    };
    target.export(operations, &Always, &mut count).await?;
    ensure!(failed == 0, "{failed} operations were not done");

    let log = tenant.log();
    let sent: Vec<Duration> = (log.iter())
        .filter(|request| request.write)
        .map(|request| request.elapsed)
        .collect();
    let (begin, end) = sent
        .get(BURST - 1)
        .zip(sent.last())
        .context("too few writes")?;
    let permitted = end.saturating_sub(*begin).as_secs_f64() * PACE;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let share = (sent.len() - BURST) as f64 / permitted;
    let twice = tenant.refused_twice().len();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let full = sent.len() as f64 / tenant.seen().batches as f64;
    Ok(Row {
        figure: "F6",
        what: format!("permitted writes used, of {}", sent.len()),
        value: format!(
            "{:.0} %, {twice} refused twice, {full:.1} a request",
            share * 100.0
        ),
        to_reach: "≥ 95 %, none, 20".to_owned(),
        reached: Some(share >= 0.95 && twice == 0 && full >= 18.0),
    })
}

fn anchor(class: Class, at: usize) -> Anchor {
    Anchor::from_text(&format!("{}-{at}", class.as_str()))
}

fn create(class: Class, at: usize) -> Operation {
    let name = format!("{}{at}", class.as_str());
    let mut texts = vec![
        ("displayName", name.clone()),
        ("mailNickname", name.clone()),
    ];
    let mut values = Values::new();
    if class == Class::User {
        texts.push(("userPrincipalName", format!("{name}@corp.example.com")));
        values.insert("accountEnabled".to_owned(), Value::Flag(true));
    }
    values.extend(
        texts
            .into_iter()
            .map(|(key, text)| (key.to_owned(), Value::Text(text))),
    );
    let mark = Mark {
        owner: OWNER.into(),
        anchor: anchor(class, at),
    };
    Operation {
        class,
        anchor: anchor(class, at),
        target: None,
        change: Change::Create { mark, values },
    }
}

fn add(group: usize, member: usize) -> Operation {
    let member = anchor(Class::User, member);
    Operation {
        class: Class::Group,
        anchor: anchor(Class::Group, group),
        target: None,
        change: Change::AddMember { member },
    }
}
