//! A plain client of the DirSync control, for the embedded directory and for real domain controllers alike.

use std::collections::BTreeMap;

use ldap3::controls::RawControl;
use ldap3::{Ldap, LdapError, Scope, SearchEntry, SearchResult};
use ldap3_lber::common::TagClass;
use ldap3_lber::structure::{PL, StructureTag};

pub(crate) const OBJECT_SECURITY: i32 = 1;
pub(crate) const ANCESTORS_FIRST_ORDER: i32 = 0x800;
pub(crate) const PUBLIC_DATA_ONLY: i32 = 0x2000;
pub(crate) const INCREMENTAL_VALUES: i32 = i32::MIN;
const OID: &str = "1.2.840.113556.1.4.841";

pub(crate) type Attributes = BTreeMap<String, Vec<Vec<u8>>>;

/// One client's search, and how far it has come.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) base: String,
    pub(crate) filter: String,
    pub(crate) attributes: Vec<&'static str>,
    pub(crate) flags: i32,
    pub(crate) most_bytes: u16,
    pub(crate) cookie: Vec<u8>,
}

/// One answer.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) entries: Vec<(String, Attributes)>,
    pub(crate) more: bool,
    pub(crate) cookie: Vec<u8>,
}

impl Feed {
    pub(crate) fn new(base: &str, attributes: &[&'static str], flags: i32) -> Self {
        Self {
            base: base.to_owned(),
            filter: "(objectClass=*)".to_owned(),
            attributes: attributes.to_vec(),
            flags,
            most_bytes: 0,
            cookie: Vec::new(),
        }
    }

    fn control(&self) -> RawControl {
        let universal = |id, bytes: Vec<u8>| StructureTag {
            class: TagClass::Universal,
            id,
            payload: PL::P(bytes),
        };
        let value = StructureTag {
            class: TagClass::Universal,
            id: 16,
            payload: PL::C(vec![
                universal(2, self.flags.to_be_bytes().to_vec()),
                universal(2, [&[0][..], &self.most_bytes.to_be_bytes()].concat()),
                universal(4, self.cookie.clone()),
            ]),
        };
        let mut bytes = bytes::BytesMut::new();
        ldap3_lber::write::encode_into(&mut bytes, value).unwrap();
        RawControl {
            ctype: OID.to_owned(),
            crit: true,
            val: Some(bytes.to_vec()),
        }
    }

    /// Asks once and keeps the cookie.
    pub(crate) async fn page(&mut self, ldap: &mut Ldap) -> Result<Page, LdapError> {
        let SearchResult(found, result) = ldap
            .with_controls(vec![self.control()])
            .search(
                &self.base,
                Scope::Subtree,
                &self.filter,
                self.attributes.clone(),
            )
            .await?;
        let mut page = Page {
            code: result.rc,
            message: result.text.clone(),
            ..Page::default()
        };
        for each in found.into_iter().filter(|each| !each.is_ref()) {
            let SearchEntry {
                dn,
                attrs,
                bin_attrs,
            } = SearchEntry::construct(each);
            let bytes = |values: Vec<String>| values.into_iter().map(String::into_bytes).collect();
            let text = attrs
                .into_iter()
                .map(|(name, values)| (name, bytes(values)));
            page.entries.push((dn, text.chain(bin_attrs).collect()));
        }
        let control = result.ctrls.iter().find(|each| each.1.ctype == OID);
        if let Some(value) = control.and_then(|each| each.1.val.as_ref()) {
            let (_, tag) = ldap3_lber::Parser::new(10).parse(value).unwrap();
            let parts = tag.expect_constructed().unwrap();
            let bytes = |at: usize| parts[at].clone().expect_primitive().unwrap();
            page.more = bytes(0).iter().any(|byte| *byte != 0);
            page.cookie = bytes(2);
            self.cookie.clone_from(&page.cookie);
        }
        Ok(page)
    }

    /// All pages up to the last.
    pub(crate) async fn poll(&mut self, ldap: &mut Ldap) -> Vec<(String, Attributes)> {
        let mut all = Vec::new();
        loop {
            let page = self.page(ldap).await.unwrap();
            assert_eq!(page.code, 0, "{}", page.message);
            all.extend(page.entries);
            if !page.more {
                return all;
            }
        }
    }
}

/// Values as text, binary ones in hex.
pub(crate) fn readable(attributes: &Attributes) -> BTreeMap<String, Vec<String>> {
    let text = |value: &Vec<u8>| {
        let hex = || {
            let pairs: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
            pairs.concat()
        };
        String::from_utf8(value.clone()).unwrap_or_else(|_| hex())
    };
    attributes
        .iter()
        .map(|(name, values)| (name.clone(), values.iter().map(text).collect()))
        .collect()
}
