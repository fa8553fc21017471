//! What the connectors have read: their entries, packed, by anchor and by name. Entries are numbered; a number is given again only
//! after a plan has seen that its entry left.
//!
//! [`read`] takes the events of reads; this file finds entries and what they refer to. What changed since the last plan is noted in
//! the [`Journal`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::{
    anchor::Anchor,
    dn::Dn,
    entry::{Attributes, Entry, EntryKind},
    fault::{Fault, planted},
    index::{Index, NONE, hash, short},
    pieces::Pieces,
    port::{Cause, Cursor, Extent, ValueChange},
    record::Unkept,
};

mod foreign;
mod keep;
mod name;
mod pack;
mod place;
mod read;

use foreign::Foreign;
pub(crate) use foreign::OBJECT_SID;
use name::Names;
use pack::{Link, Packed, unpack};
pub(crate) use pack::{Reader, Words, Writer};
pub(crate) use read::Taken;

/// One entry.
#[derive(Debug)]
struct Slot {
    /// `NONE` when its DN is none, or when another entry took it over and the end of the read will tell.
    name: u32,
    /// The text of its DN after the first RDN; `NONE` without one.
    above: u32,
    /// The read that brought it.
    seen: u32,
    connector: u16,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            name: NONE,
            above: NONE,
            seen: 0,
            connector: 0,
        }
    }
}

/// What is to be asked of the server about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// The feed itself named it as gone.
    pub(crate) named: bool,
}

/// What one connector has read, beside its entries.
#[derive(Debug, Default)]
pub(crate) struct ConnectorSpace {
    pub(crate) name: String,
    generation: u32,
    /// The read in progress, or the one that was cut short.
    reading: Option<(Timestamp, Extent)>,
    /// When the last complete read began.
    complete: Option<Timestamp>,
    /// The account can read tombstones, so that absence alone proves nothing.
    pub(crate) requires_tombstones: bool,
    /// A link leads to its entry, not to a DN: it goes with the entry when that is renamed, and no one is told (Active Directory).
    follows: bool,
    tombstones: BTreeMap<Anchor, u32>,
    missing: BTreeMap<Anchor, Doubt>,
    /// DNs below which everything should be listed.
    listings: BTreeSet<String>,
    /// Entries whose DN another entry has taken in this read, and what was below them then.
    displaced: BTreeMap<u32, Vec<u32>>,
    /// Links that went by a DN that no entry has yet: whose entry that is, the end of the read will tell.
    deferred: Vec<(u32, ValueChange)>,
    pub(crate) cursor: Option<Cursor>,
    /// Attributes with DNs that lead somewhere, in lower case.
    links: BTreeSet<String>,
    /// Those of them at whose text filters or expressions look.
    pub(crate) spelled: BTreeSet<String>,
    /// Names that an entry had until the read that is in progress, or just ended: a paged read is no snapshot.
    former: HashMap<u32, (u32, u32)>,
    findings: Findings,
    /// How many there are of each kind.
    pub(crate) entries: BTreeMap<EntryKind, usize>,
}

/// What a complete comparison found that the change feed had missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Entries that were not known.
    pub arrived: usize,
    /// With other values, and the same DN.
    pub changed: usize,
    /// With another DN.
    pub renamed: usize,
    /// Entries that are not there any more, or not in sight.
    pub left: usize,
}

impl Findings {
    /// By the words in metrics.
    pub fn by_cause(&self) -> [(&'static str, usize); 4] {
        [
            ("arrived", self.arrived),
            ("changed", self.changed),
            ("renamed", self.renamed),
            ("left", self.left),
        ]
    }
}

/// What changed since the last plan.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) slots: BTreeSet<u32>,
    /// Names that lead to another entry than before, or to none.
    pub(crate) names: BTreeSet<u32>,
    /// Entries with another DN than before.
    pub(crate) renamed: BTreeSet<u32>,
    /// Anchors and alternates that came to an entry or went.
    pub(crate) anchors: BTreeSet<Anchor>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    connectors: Vec<ConnectorSpace>,
    slots: Vec<Slot>,
    /// Empty where the entry left.
    packed: Pieces,
    free: Vec<u32>,
    left: Vec<u32>,
    names: Names,
    /// Other names that lead to an entry, as links to it were read once.
    aliases: HashMap<u32, Vec<u32>>,
    by_anchor: Index,
    /// From names to the entries with links to them.
    linked: Index,
    words: Words,
    above: Words,
    /// Accounts by SID; only where there is more than one connector.
    foreign: Option<Foreign>,
    pub(crate) journal: Journal,
    /// Entries that are to be kept.
    unkept: Unkept,
    /// How many of the texts above are kept.
    above_kept: u32,
}

/// An entry that is no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) slot: u32,
    pub(crate) anchor: Anchor,
    pub(crate) alternate: Option<Anchor>,
}

impl Spaces {
    /// The number of a connector, which it gets if it has none.
    pub(crate) fn number(&mut self, connector: &str) -> u16 {
        if let Some(number) = self.find(connector) {
            return number;
        }
        self.connectors.push(ConnectorSpace {
            name: connector.to_owned(),
            ..ConnectorSpace::default()
        });
        u16::try_from(self.connectors.len() - 1).unwrap_or(u16::MAX)
    }

    /// Which attributes of a connector's entries lead to others, and at the text of which somebody looks. Entries that were read
    /// otherwise are packed anew.
    pub(crate) fn configure(
        &mut self,
        connector: &str,
        links: BTreeSet<String>,
        spelled: BTreeSet<String>,
    ) {
        let number = self.number(connector);
        let Some(space) = self.connector_mut(number) else {
            return;
        };
        space.spelled = spelled;
        if space.links == links {
            return;
        }
        let own: Vec<u32> = self
            .slots()
            .filter(|slot| self.connector_of(*slot) == Some(number))
            .collect();
        let entries: Vec<(u32, Entry)> = own
            .into_iter()
            .filter_map(|slot| Some((slot, self.spell_out(slot, &|_| true)?)))
            .collect();
        if let Some(space) = self.connector_mut(number) {
            space.links = links;
        }
        for (slot, entry) in entries {
            let seen = self.slots.get(slot as usize).map_or(0, |slot| slot.seen);
            self.write(slot, entry, seen);
        }
    }

    pub(crate) fn find(&self, connector: &str) -> Option<u16> {
        let at = self.connectors.iter().position(|one| one.name == connector);
        at.and_then(|at| u16::try_from(at).ok())
    }

    pub(crate) fn connector(&self, number: u16) -> Option<&ConnectorSpace> {
        self.connectors.get(usize::from(number))
    }

    pub(crate) fn connector_mut(&mut self, number: u16) -> Option<&mut ConnectorSpace> {
        self.connectors.get_mut(usize::from(number))
    }

    /// With their numbers, sorted by name.
    pub(crate) fn connectors(&self) -> Vec<(u16, &ConnectorSpace)> {
        let mut all: Vec<(u16, &ConnectorSpace)> = (0..).zip(&self.connectors).collect();
        all.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        all
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        self.packed(slot)?;
        self.slots.get(slot as usize)
    }

    /// An entry's bytes; `None` when it left.
    fn packed(&self, slot: u32) -> Option<&[u8]> {
        Some(self.packed.get(slot)).filter(|packed| !packed.is_empty())
    }

    /// The numbers of all entries.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        let end = u32::try_from(self.slots.len()).unwrap_or(NONE);
        (0..end).filter(|slot| self.packed(*slot).is_some())
    }

    pub(crate) fn exists(&self, slot: u32) -> bool {
        self.slot(slot).is_some()
    }

    pub(crate) fn connector_of(&self, slot: u32) -> Option<u16> {
        self.slots.get(slot as usize).map(|slot| slot.connector)
    }

    /// Kind, anchor and alternate.
    pub(crate) fn head(&self, slot: u32) -> Option<(EntryKind, Option<Anchor>, Option<Anchor>)> {
        pack::head(self.packed(slot)?)
    }

    pub(crate) fn anchor(&self, slot: u32) -> Option<Anchor> {
        self.head(slot)?.1
    }

    /// Anchor and alternate, as far as there.
    pub(crate) fn names_of(&self, slot: u32) -> Vec<Anchor> {
        let head = self.head(slot);
        head.map_or(Vec::new(), |(_, anchor, alternate)| {
            anchor.into_iter().chain(alternate).collect()
        })
    }

    /// The DN as the server writes it.
    pub(crate) fn dn_text(&self, slot: u32) -> String {
        let (Some(packed), Some(slot)) = (self.packed(slot), self.slots.get(slot as usize)) else {
            return String::new();
        };
        let mut text = pack::rdn(packed).unwrap_or_default().to_owned();
        if let Some(above) = self.above.word(slot.above) {
            text.push(',');
            text.push_str(above);
        }
        text
    }

    pub(crate) fn dn(&self, slot: u32) -> Option<Dn> {
        Dn::parse(&self.dn_text(slot)).ok()
    }

    /// The entries of all connectors with this anchor or alternate.
    pub(crate) fn by_name(&self, name: &Anchor) -> Vec<u32> {
        let mut found = self.by_anchor.get(short(hash(name)));
        found.retain(|slot| self.names_of(*slot).contains(name));
        found
    }

    pub(crate) fn by_name_in(&self, connector: u16, name: &Anchor) -> Vec<u32> {
        let mut found = self.by_name(name);
        found.retain(|slot| self.connector_of(*slot) == Some(connector));
        found
    }

    /// The entries of all connectors with this anchor.
    pub(crate) fn by_anchor(&self, anchor: &Anchor) -> Vec<u32> {
        let mut found = self.by_name(anchor);
        found.retain(|slot| self.anchor(*slot).as_ref() == Some(anchor));
        found
    }

    /// The entry that has a DN now.
    pub(crate) fn by_dn(&self, connector: u16, dn: &Dn) -> Option<u32> {
        self.names.slot(self.names.find(connector, dn)?)
    }

    /// All entries below a DN, and its own.
    pub(crate) fn within(&self, connector: u16, dn: &Dn) -> Vec<u32> {
        let Some(name) = self.names.find(connector, dn) else {
            return Vec::new();
        };
        let mut slots = self.names.below(name);
        slots.extend(self.names.slot(name));
        slots
    }

    /// The entry that a link leads to.
    fn resolve(&self, connector: u16, name: u32) -> Option<u32> {
        self.names.slot(name).or_else(|| {
            let former = self.connector(connector)?.former.get(&name)?;
            self.exists(former.0).then_some(former.0)
        })
    }

    /// The entries that the links of an attribute (in lower case) lead to, each once, in the order of the values.
    pub(crate) fn references(&self, slot: u32, attribute: &str) -> Vec<u32> {
        let (Some(entry), Some(attribute)) = (self.slot(slot), self.words.known(attribute)) else {
            return Vec::new();
        };
        let mut seen = std::collections::HashSet::new();
        pack::names(self.packed.get(slot), Some(attribute))
            .into_iter()
            .filter_map(|name| self.resolve(entry.connector, name))
            .filter(|slot| seen.insert(*slot))
            .collect()
    }

    /// The entries with links to a name.
    pub(crate) fn linked(&self, name: u32) -> Vec<u32> {
        self.linked.get(name)
    }

    /// The entries with links that lead to an entry.
    pub(crate) fn referrers(&self, slot: u32) -> Vec<u32> {
        let Some(entry) = self.slots.get(slot as usize) else {
            return Vec::new();
        };
        let aliases = self.aliases.get(&slot).into_iter().flatten().copied();
        let foreign = self.foreign_names(self.packed.get(slot)).into_iter();
        let names = [entry.name].into_iter().chain(aliases).chain(foreign);
        let names: BTreeSet<u32> = names.collect();
        names
            .into_iter()
            .flat_map(|name| self.linked.get(name))
            .collect()
    }

    /// The entry, unpacked. The texts of links are only written out where someone looks at them; elsewhere they are empty.
    pub(crate) fn entry(&self, slot: u32) -> Option<Entry> {
        let record = self.slot(slot)?;
        let spelled = &self.connector(record.connector)?.spelled;
        self.spell_out(slot, &|attribute| spelled.contains(attribute))
    }

    /// The entry, unpacked, with the texts of the links that are asked for.
    pub(crate) fn spell_out(&self, slot: u32, spelled: &dyn Fn(&str) -> bool) -> Option<Entry> {
        let parts = unpack(self.packed(slot)?)?;
        let mut attributes = Vec::with_capacity(parts.attributes.len());
        for (name, values) in parts.attributes {
            let name = self.words.word(name)?.clone();
            let values = match values {
                Packed::Values(values) => values,
                Packed::Links(links) if spelled(&name) => {
                    links.into_iter().map(|link| self.spell(link)).collect()
                }
                Packed::Links(links) => vec![Vec::new(); links.len()],
            };
            attributes.push((name, values));
        }
        Some(Entry {
            dn: self.dn_text(slot),
            kind: parts.kind,
            anchor: parts.anchor,
            alternate: parts.alternate,
            attributes: Attributes::sorted(attributes),
        })
    }

    /// The DN that a link leads to, as its entry has it.
    fn spell(&self, link: Link) -> Vec<u8> {
        match link {
            Link::Other(value) => value,
            Link::Name(name) => match self.names.slot(name) {
                Some(slot) => self.dn_text(slot).into_bytes(),
                None => self.names.text(name).unwrap_or_default().into(),
            },
        }
    }

    /// Numbers of entries that left may be given again: everybody has heard.
    pub(crate) fn forget_left(&mut self) {
        self.free.append(&mut self.left);
    }
}

impl ConnectorSpace {
    /// When the last complete read began; `None` until there was one.
    pub(crate) fn complete(&self) -> Option<Timestamp> {
        self.complete
    }

    /// The last read came to its end: only then may anything be taken away because of what this space does not say.
    pub(crate) fn settled(&self) -> bool {
        let whole = self.reading.is_none() || planted(Fault::CutCountsAsWhole);
        self.complete.is_some() && whole
    }

    /// A tombstone names it.
    pub(crate) fn tombstoned(&self, anchor: &Anchor) -> bool {
        self.tombstones.contains_key(anchor)
    }

    /// Entries about which the server should be asked.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Anchor> {
        self.missing.keys()
    }

    /// DNs below which everything should be listed, and why.
    pub(crate) fn listings(&self) -> Vec<(String, Cause)> {
        let all = self.listings.iter();
        all.map(|dn| (dn.clone(), Cause::Container)).collect()
    }

    pub(crate) fn findings(&self) -> Findings {
        self.findings
    }
}
