//! Making a company: units, people with their managers, service accounts, contacts and groups.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::name::{LANGUAGES, SPECIAL};
use super::place::{DEPARTMENTS, EMPLOYMENT, NOTES, OFFICES};
use super::{Company, Contact, Dialect, Group, ObjectId, Person, Unit};

const SERVICE_ACCOUNTS: [&str; 3] = ["svc-backup", "svc-print", "svc-scan2mail"];

impl Company {
    /// A company of so many people (service accounts come on top) in the domain `corp.example.com`.
    ///
    /// The first people carry the special names, so a company of five has them all.
    pub fn generate(seed: u64, people: usize, dialect: Dialect) -> Self {
        Self::in_domain(seed, people, dialect, "corp.example.com")
    }

    /// The same company in another domain.
    pub fn in_domain(seed: u64, people: usize, dialect: Dialect, domain: &str) -> Self {
        let mut company = Self {
            dialect,
            domain: domain.to_owned(),
            name: "Lindqvist, Søn & Co. <AG>",
            random: StdRng::seed_from_u64(seed),
            next: 0,
            units: BTreeMap::new(),
            people: BTreeMap::new(),
            contacts: BTreeMap::new(),
            groups: BTreeMap::new(),
            logins: BTreeMap::new(),
        };
        let staff = company.add_unit("Staff", None, "Management", &["Managing Director"]);
        let mut departments: Vec<ObjectId> = Vec::new();
        for (name, parent, department, titles) in DEPARTMENTS {
            let parent = parent
                .and_then(|at| departments.get(at).copied())
                .unwrap_or(staff);
            departments.push(company.add_unit(name, Some(parent), department, titles));
        }
        let services =
            company.add_unit("Service Accounts", Some(staff), "IT", &["Service account"]);
        let groups = company.add_unit("Groups", None, "IT", &[]);
        let lists = company.add_unit("Lists, Distribution", Some(groups), "IT", &[]);
        let partners = company.add_unit("Contacts", None, "Partners", &[]);

        for number in 0..people {
            let unit = match departments.get(number.wrapping_sub(1) % departments.len().max(1)) {
                Some(unit) if number > 0 => *unit,
                _ => staff,
            };
            company.add_person(unit, SPECIAL.get(number).copied());
        }
        for login in SERVICE_ACCOUNTS {
            company.add_service_account(services, login);
        }
        company.add_managers();
        company.add_contacts(partners, people / 20 + 3);
        company.add_groups(&departments, groups, lists);
        company
    }

    fn add_unit(
        &mut self,
        name: &str,
        parent: Option<ObjectId>,
        department: &str,
        titles: &'static [&'static str],
    ) -> ObjectId {
        let id = ObjectId::Unit(self.number());
        self.units.insert(
            id,
            Unit {
                name: name.to_owned(),
                parent,
                department: department.to_owned(),
                titles,
            },
        );
        id
    }

    /// Adds a person of a random language, or with a special name.
    pub(crate) fn add_person(
        &mut self,
        unit: ObjectId,
        special: Option<(&'static str, &'static str, &'static str, &'static str)>,
    ) -> ObjectId {
        let language = self.pick(LANGUAGES);
        let (given, family) = (self.pick(language.given), self.pick(language.family));
        let (given_name, surname, display_name, address) = match special {
            Some((given, family, display, address)) => (
                given.to_owned(),
                family.to_owned(),
                display.to_owned(),
                address.to_owned(),
            ),
            None => (
                given.0.to_owned(),
                family.0.to_owned(),
                language.display(given.0, family.0),
                format!("{}.{}", given.1, family.1),
            ),
        };
        let address = self.unique(&address);
        let login = self.login(&address);
        let taken = self
            .people
            .values()
            .any(|each| super::render::same_name(&each.common_name, &display_name));
        let common_name = if taken {
            format!("{display_name} ({login})")
        } else {
            display_name.clone()
        };
        let office = OFFICES.get(language.office).unwrap_or(&OFFICES[0]);
        let (department, title) = match self.units.get(&unit) {
            Some(found) => (found.department.clone(), found.titles),
            None => (String::new(), &[][..]),
        };
        let title = if title.is_empty() {
            "Specialist"
        } else {
            self.pick(title)
        };
        let number = self.number();
        // Someone in thirty has no mailbox, one in fifty (on AD) no user principal name, one in thirty is disabled.
        let mail =
            (special.is_some() || !self.one_in(30)).then(|| format!("{address}@{}", self.domain));
        let principal_name =
            (special.is_some() || !self.one_in(50)).then(|| format!("{address}@{}", self.domain));
        let aliases = if mail.is_some() && self.one_in(3) {
            vec![format!("{login}@{}", self.domain)]
        } else {
            Vec::new()
        };
        let person = Person {
            given_name,
            surname,
            display_name,
            common_name,
            login,
            title: title.to_owned(),
            department,
            telephone: format!(
                "{} {:04}",
                office.telephone,
                self.random.random_range(0..10_000)
            ),
            mobile: self
                .random
                .random_bool(0.6)
                .then(|| format!("+99 170 {:07}", self.random.random_range(0..10_000_000))),
            employee_number: format!("E-{:08}", 10_000_000 + number * 7),
            employee_type: self.pick(EMPLOYMENT).to_string(),
            language: language.tag.to_owned(),
            description: (special.is_some() || self.one_in(4))
                .then(|| self.pick(NOTES).to_string()),
            mail,
            aliases,
            principal_name,
            manager: None,
            unit,
            enabled: special.is_some() || !self.one_in(30),
            office: language.office,
            named_by_uid: special.is_none() && !number.is_multiple_of(3),
            guid: self.guid(),
        };
        let id = ObjectId::Person(number);
        self.people.insert(id, person);
        id
    }

    fn add_service_account(&mut self, unit: ObjectId, login: &str) {
        let id = self.add_person(unit, None);
        if let Some(person) = self.people.get_mut(&id) {
            person.given_name = "Service".into();
            login.clone_into(&mut person.surname);
            login.clone_into(&mut person.display_name);
            login.clone_into(&mut person.common_name);
            login.clone_into(&mut person.login);
            person.employee_type = "Service".into();
            person.enabled = true;
            (
                person.mail,
                person.aliases,
                person.principal_name,
                person.mobile,
            ) = (None, Vec::new(), None, None);
        }
    }

    /// A tree: each manager has at most seven reports, the first person none above.
    fn add_managers(&mut self) {
        let people: Vec<ObjectId> = self.people.keys().copied().collect();
        for (number, person) in self.people.values_mut().enumerate() {
            person.manager = number
                .checked_sub(1)
                .and_then(|above| people.get(above / 7).copied());
        }
    }

    fn add_contacts(&mut self, unit: ObjectId, count: usize) {
        for at in 0..count {
            let language = self.pick(LANGUAGES);
            let (given, family) = (self.pick(language.given), self.pick(language.family));
            let id = ObjectId::Contact(self.number());
            let partner = ["Æther & Sons", "Contoso; Ltd.", "株式会社テスト"]
                .get(at % 3)
                .copied()
                .unwrap_or_default();
            let contact = Contact {
                display_name: format!("{} ({partner} {at})", language.display(given.0, family.0)),
                surname: family.0.to_owned(),
                mail: format!("{}.{}.{at}@partner.example.net", given.1, family.1),
                unit,
                guid: self.guid(),
            };
            self.contacts.insert(id, contact);
        }
    }

    fn add_groups(&mut self, departments: &[ObjectId], security: ObjectId, lists: ObjectId) {
        let people: Vec<ObjectId> = self
            .people
            .iter()
            .filter(|(_, each)| each.employee_type != "Service")
            .map(|(id, _)| *id)
            .collect();
        let contacts: Vec<ObjectId> = self.contacts.keys().copied().collect();
        let Some(&first) = people.first() else { return };
        let mut by_department = Vec::new();
        for department in departments {
            let members: Vec<ObjectId> = people
                .iter()
                .copied()
                .filter(|id| {
                    self.people
                        .get(id)
                        .is_some_and(|each| each.unit == *department)
                })
                .collect();
            if let (false, Some(unit)) = (members.is_empty(), self.units.get(department)) {
                let name = format!("All of {}", unit.name);
                by_department.push(self.add_group(&name, true, security, members));
            }
        }
        let mut everyone = by_department;
        everyone.push(first);
        self.add_group("Everyone", true, security, everyone.clone());
        // A cycle, which both servers take.
        let members = self.sample(&people, 5);
        let one = self.add_group("Project Möbius", true, security, members);
        let other = self.add_group("Möbius Reviewers", true, security, vec![one, first]);
        if let Some(group) = self.groups.get_mut(&one) {
            group.members.push(other);
        }
        for name in [
            "#general",
            "Ops, \"On-Call\" + <24x7>; (EU) * \\ # =",
            "Friends & Family  (Beta)",
        ] {
            let members = self.sample(&people, 4);
            self.add_group(name, true, security, members);
        }
        for number in 1..=people.len() / 25 {
            let count = self.random.random_range(3..=20);
            let members = self.sample(&people, count);
            self.add_group(&format!("Project {number:03}"), true, security, members);
        }
        for name in ["Newsletter, weekly", "Partner News"] {
            let mut members = self.sample(&people, 6);
            members.extend(contacts.iter().take(3));
            self.add_group(name, false, lists, members);
        }
    }

    pub(super) fn add_group(
        &mut self,
        name: &str,
        security: bool,
        unit: ObjectId,
        members: Vec<ObjectId>,
    ) -> ObjectId {
        let number = self.number();
        let kind = if security { "grp" } else { "list" };
        let login = format!("{kind}-{number}");
        let group = Group {
            name: name.to_owned(),
            mail: (!security).then(|| format!("{login}@{}", self.domain)),
            login,
            description: format!("{name}: made for <tests> & \"demos\""),
            security,
            members,
            unit,
            guid: self.guid(),
        };
        let id = ObjectId::Group(number);
        self.groups.insert(id, group);
        id
    }

    /// Different people, at most so many.
    fn sample(&mut self, people: &[ObjectId], count: usize) -> Vec<ObjectId> {
        let mut left = people.to_vec();
        let mut chosen = Vec::new();
        while chosen.len() < count && !left.is_empty() {
            chosen.push(left.swap_remove(self.random.random_range(0..left.len())));
        }
        chosen
    }

    fn pick<T>(&mut self, from: &'static [T]) -> &'static T {
        &from[self.random.random_range(0..from.len())]
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.random.random_ratio(1, count)
    }

    pub(crate) fn guid(&mut self) -> [u8; 16] {
        let mut bytes: [u8; 16] = self.random.random();
        bytes[7] = (bytes[7] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The name itself, or with the first number behind it that gives a name nobody has.
    fn unique(&mut self, address: &str) -> String {
        let mut name = address.to_owned();
        let mut count = self.logins.get(address).copied().unwrap_or(0);
        while self.logins.contains_key(&name) {
            count += 1;
            name = format!("{address}{}", count + 1);
        }
        self.logins.insert(address.to_owned(), count);
        self.logins.entry(name.clone()).or_insert(0);
        name
    }

    /// First letter and family name, as many firms do; sAMAccountName allows 20 characters and few signs.
    fn login(&mut self, address: &str) -> String {
        let (given, family) = address.split_once('.').unwrap_or(("", address));
        let letters = |text: &str| {
            text.chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
        };
        let short: String = given
            .chars()
            .take(1)
            .chain(letters(family).chars().take(14))
            .collect();
        self.unique(&short)
    }
}
