//! A directory that lives: people and groups are hired, renamed, moved and dismissed, units renamed and moved with all that is below
//! them, into the base and out of it. The same seed gives the same life.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ldap3::{Ldap, LdapConnAsync, Mod};

use crate::server::Server;

/// `groupType` of a global security group.
pub(crate) const SECURITY: &str = "-2147483646";

/// Numerical Recipes' generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick(&mut self, from: &[String]) -> Option<String> {
        (!from.is_empty()).then(|| from[self.below(from.len())].clone())
    }
}

/// See the module.
pub(crate) struct Company {
    ldap: Ldap,
    /// What is read.
    pub(crate) base: String,
    /// Who moves here leaves the base.
    pub(crate) outside: String,
    pub(crate) random: Random,
    next: usize,
    units: Vec<String>,
    people: Vec<String>,
    groups: Vec<String>,
    /// Of Active Directory.
    domain: bool,
    pub(crate) done: BTreeMap<&'static str, usize>,
}

impl Company {
    /// Makes the base, a place outside it, and some of each kind.
    pub(crate) async fn found(server: &Server, name: &str, seed: u64) -> Self {
        let mut company = Self::connect(server, name, seed).await;
        company.settle().await;
        company
    }

    /// In a domain, below its head or a unit of it.
    pub(crate) async fn found_domain(ldap: Ldap, head: &str, name: &str, seed: u64) -> Self {
        let mut company = Self::new(ldap, head, name, seed);
        company.domain = true;
        company.settle().await;
        company
    }

    async fn settle(&mut self) {
        let company = self;
        for root in [company.base.clone(), company.outside.clone()] {
            company.unit(&root).await;
        }
        for _ in 0..4 {
            company.new_unit().await;
        }
        for _ in 0..12 {
            company.hire().await;
        }
        for _ in 0..3 {
            company.new_group().await;
        }
    }

    /// Connects as administrator.
    pub(crate) async fn connect(server: &Server, name: &str, seed: u64) -> Self {
        let (url, dn, password) = server.administrator();
        let (connection, mut ldap) = LdapConnAsync::new(&url).await.unwrap();
        tokio::spawn(connection.drive());
        ldap.simple_bind(&dn, &password)
            .await
            .unwrap()
            .success()
            .unwrap();
        Self::new(ldap, "dc=example,dc=com", name, seed)
    }

    /// By another connection from now on.
    pub(crate) fn by(self, ldap: Ldap) -> Self {
        Self { ldap, ..self }
    }

    fn new(ldap: Ldap, head: &str, name: &str, seed: u64) -> Self {
        Self {
            ldap,
            domain: false,
            base: format!("ou={name},{head}"),
            outside: format!("ou={name}-outside,{head}"),
            random: Random(seed),
            next: 0,
            units: Vec::new(),
            people: Vec::new(),
            groups: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    pub(crate) async fn add(&mut self, dn: &str, attributes: &[(&str, &str)]) {
        let attributes: Vec<(&str, HashSet<&str>)> = (attributes.iter())
            .map(|(name, value)| (*name, HashSet::from([*value])))
            .collect();
        self.ldap
            .add(dn, attributes)
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    pub(crate) async fn unit(&mut self, dn: &str) {
        self.add(dn, &[("objectClass", "organizationalUnit")]).await;
    }

    pub(crate) async fn person(&mut self, uid: &str, place: &str) -> String {
        let mail = format!("{uid}@example.com");
        if self.domain {
            let dn = format!("CN={uid},{place}");
            let account = self.account(uid);
            let attributes = [
                ("objectClass", "user"),
                ("sAMAccountName", account.as_str()),
                ("mail", &mail),
            ];
            self.add(&dn, &attributes).await;
            return dn;
        }
        let dn = format!("uid={uid},{place}");
        let attributes = [
            ("objectClass", "inetOrgPerson"),
            ("cn", uid),
            ("sn", "x"),
            ("mail", &mail),
        ];
        self.add(&dn, &attributes).await;
        dn
    }

    pub(crate) async fn modify(&mut self, dn: &str, attribute: &str, values: &[&str]) {
        self.modify_all(dn, &[(attribute, values)]).await;
    }

    pub(crate) async fn modify_all(&mut self, dn: &str, attributes: &[(&str, &[&str])]) {
        let changes = (attributes.iter())
            .map(|(name, values)| Mod::Replace(*name, values.iter().copied().collect()));
        self.ldap
            .modify(dn, changes.collect())
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    pub(crate) async fn delete(&mut self, dn: &str) {
        self.ldap.delete(dn).await.unwrap().success().unwrap();
    }

    pub(crate) async fn rename(&mut self, dn: &str, rdn: &str, superior: Option<&str>) {
        self.ldap
            .modifydn(dn, rdn, true, superior)
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    /// Up to where OpenLDAP says that it has everything, by server.
    pub(crate) async fn position(&mut self) -> BTreeSet<String> {
        let names = vec!["contextCSN"];
        let found = self
            .ldap
            .search(
                "dc=example,dc=com",
                ldap3::Scope::Base,
                "(objectClass=*)",
                names,
            )
            .await;
        let (mut entries, _) = found.unwrap().success().unwrap();
        let suffix = ldap3::SearchEntry::construct(entries.pop().unwrap());
        suffix.attrs["contextCSN"].iter().cloned().collect()
    }

    /// First and last record of the changelog of 389-ds.
    pub(crate) async fn change_numbers(&mut self) -> (u64, u64) {
        let names = ["firstchangenumber", "lastchangenumber"];
        let search = self
            .ldap
            .search("", ldap3::Scope::Base, "(objectClass=*)", names);
        let (mut entries, _) = search.await.unwrap().success().unwrap();
        let root = ldap3::SearchEntry::construct(entries.pop().unwrap());
        let [first, last] = names.map(|name| root.attrs[name][0].parse().unwrap());
        (first, last)
    }

    /// One random operation.
    pub(crate) async fn live(&mut self) {
        let operation = match self.random.below(100) {
            0..20 => self.hire().await,
            20..45 => self.edit().await,
            45..52 => self.marry().await,
            52..62 => self.transfer().await,
            62..72 => self.dismiss().await,
            72..75 => self.new_group().await,
            75..87 => self.membership().await,
            87..90 => self.new_unit().await,
            90..94 => self.rename_unit().await,
            94..98 => self.move_unit().await,
            _ => self.close_unit().await,
        };
        *self.done.entry(operation).or_default() += 1;
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("n{:04}", self.next)
    }

    /// Unique in a domain that holds several companies.
    fn account(&self, name: &str) -> String {
        let company = self.base.split([',', '=']).nth(1).unwrap_or_default();
        format!("{name}.{company}")
    }

    /// Three of four places are below the base, if there are any.
    fn place(&mut self) -> String {
        let root = if self.random.below(4) == 0 {
            self.outside.clone()
        } else {
            self.base.clone()
        };
        let mut places: Vec<String> = (self.units.iter())
            .filter(|unit| unit.ends_with(&root))
            .cloned()
            .collect();
        places.push(root);
        self.random.pick(&places).unwrap()
    }

    async fn hire(&mut self) -> &'static str {
        let name = self.name();
        let place = self.place();
        let dn = self.person(&name, &place).await;
        self.people.push(dn);
        "hire"
    }

    async fn edit(&mut self) -> &'static str {
        if let Some(dn) = self.random.pick(&self.people) {
            let title = format!("t{}", self.random.below(1000));
            match self.random.below(4) {
                0 => self.modify(&dn, "title", &[]).await,
                1 if self.domain => {
                    let manager = self.random.pick(&self.people).unwrap();
                    self.modify(&dn, "manager", &[&manager]).await;
                }
                _ => self.modify(&dn, "title", &[&title]).await,
            }
        }
        "edit"
    }

    async fn marry(&mut self) -> &'static str {
        if let Some(dn) = self.random.pick(&self.people) {
            let rdn = format!("{}={}", if self.domain { "CN" } else { "uid" }, self.name());
            self.rename(&dn, &rdn, None).await;
            self.moved(&dn, &rdn, parent(&dn));
        }
        "rename a person"
    }

    async fn transfer(&mut self) -> &'static str {
        let place = self.place();
        let dn = self.random.pick(&self.people);
        if let Some(dn) = dn.filter(|dn| parent(dn) != place) {
            let rdn = dn.split(',').next().unwrap().to_owned();
            self.rename(&dn, &rdn, Some(&place)).await;
            self.moved(&dn, &rdn, &place);
        }
        "move a person"
    }

    async fn dismiss(&mut self) -> &'static str {
        if let Some(dn) = self.random.pick(&self.people) {
            self.delete(&dn).await;
            self.people.retain(|other| *other != dn);
        }
        "dismiss"
    }

    async fn new_group(&mut self) -> &'static str {
        let name = self.name();
        let dn = format!("cn={name},{}", self.place());
        let member = self
            .random
            .pick(&self.people)
            .unwrap_or_else(|| self.base.clone());
        if self.domain {
            let account = self.account(&name);
            let attributes = [
                ("objectClass", "group"),
                ("groupType", SECURITY),
                ("sAMAccountName", account.as_str()),
                ("member", &member),
            ];
            self.add(&dn, &attributes).await;
        } else {
            self.add(&dn, &[("objectClass", "groupOfNames"), ("member", &member)])
                .await;
        }
        self.groups.push(dn);
        "new group"
    }

    async fn membership(&mut self) -> &'static str {
        if let Some(dn) = self.random.pick(&self.groups) {
            let mut members: Vec<String> = (0..=self.random.below(4))
                .filter_map(|_| self.random.pick(&self.people))
                .collect();
            if !self.domain {
                members.push(self.base.clone());
            }
            members.sort();
            members.dedup();
            let members: Vec<&str> = members.iter().map(String::as_str).collect();
            self.modify(&dn, "member", &members).await;
        }
        "membership"
    }

    async fn new_unit(&mut self) -> &'static str {
        let dn = format!("ou={},{}", self.name(), self.place());
        self.unit(&dn).await;
        self.units.push(dn);
        "new unit"
    }

    async fn rename_unit(&mut self) -> &'static str {
        if let Some(dn) = self.random.pick(&self.units) {
            let rdn = format!("ou={}", self.name());
            self.rename(&dn, &rdn, None).await;
            self.moved(&dn, &rdn, parent(&dn));
        }
        "rename a unit"
    }

    async fn move_unit(&mut self) -> &'static str {
        let place = self.place();
        let dn = self.random.pick(&self.units);
        // Not below itself, and not to where it is: to that OpenLDAP says "DN index add failed".
        if let Some(dn) = dn.filter(|dn| !place.ends_with(dn.as_str()) && parent(dn) != place) {
            let rdn = dn.split(',').next().unwrap().to_owned();
            self.rename(&dn, &rdn, Some(&place)).await;
            self.moved(&dn, &rdn, &place);
        }
        "move a unit"
    }

    /// With all that is in it, leaves first.
    async fn close_unit(&mut self) -> &'static str {
        if let Some(unit) = self.random.pick(&self.units) {
            let below = |dn: &&String| dn.ends_with(&unit);
            let mut all: Vec<String> = [&self.people, &self.groups, &self.units]
                .into_iter()
                .flat_map(|list| list.iter().filter(below))
                .cloned()
                .collect();
            all.sort_by_key(|dn| std::cmp::Reverse(dn.matches(',').count()));
            for dn in &all {
                self.delete(dn).await;
            }
            for list in [&mut self.people, &mut self.groups, &mut self.units] {
                list.retain(|dn| !all.contains(dn));
            }
        }
        "close a unit"
    }

    fn moved(&mut self, old: &str, rdn: &str, place: &str) {
        let new = format!("{rdn},{place}");
        for list in [&mut self.people, &mut self.groups, &mut self.units] {
            for dn in list.iter_mut() {
                if dn == old {
                    dn.clone_from(&new);
                } else if let Some(head) = dn.strip_suffix(&format!(",{old}")) {
                    *dn = format!("{head},{new}");
                }
            }
        }
    }
}

fn parent(dn: &str) -> &str {
    dn.split_once(',').map_or("", |(_, parent)| parent)
}
