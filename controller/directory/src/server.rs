//! What a server says about itself in its root DSE (RFC 4512 §5.1), what kind of server that makes it, and which naming
//! context holds the base.

use ldap3::Scope;
use plumbline_engine::entry::{Attributes, ServerType};

use crate::{
    connection::{Connection, Search},
    error::{DirectoryError, ROOT_DSE},
    feed::FeedFacts,
    range,
};

/// Active Directory, not AD LDS (MS-ADTS 3.1.1.3.4.3).
const CAPABILITY_ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

/// In lower case.
const CHANGE_NUMBER: &str = "highestcommittedusn";

/// What is known of a directory once it has been probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    pub server_type: ServerType,
    /// As the server names itself: `Samba Team (…)`; Windows and OpenLDAP keep silent.
    pub vendor: Option<String>,
    /// URL of the server that answered.
    pub server: String,
    pub naming_contexts: Vec<String>,
    pub deleted_objects: DeletedObjects,
    /// Where the server refers to for parts below the base that it does not hold.
    pub subordinate_contexts: Vec<String>,
    /// How changes are found.
    pub feed: FeedFacts,
}

/// Whether deletions can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletedObjects {
    /// The account reads `CN=Deleted Objects`: deletions are known for certain.
    Readable,
    /// The server keeps tombstones, the account sees none: it may not list them, or nothing was ever deleted.
    NotReadable,
    /// The server keeps none.
    NotOffered,
}

/// The root DSE, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct RootDse {
    pub(crate) server_type: ServerType,
    pub(crate) vendor: Option<String>,
    pub(crate) naming_contexts: Vec<String>,
    /// Of 389-ds: another value after every start.
    pub(crate) data_version: String,
    /// First and last record of the retro changelog of 389-ds.
    pub(crate) change_numbers: Option<(u64, u64)>,
    pub(crate) subschema: Option<String>,
    /// Of Active Directory: the domain controller's NTDS Settings, and the number of its last write.
    pub(crate) service: Option<String>,
    pub(crate) change_number: Option<u64>,
    controls: Vec<String>,
    /// Contexts that Active Directory always refers to from the domain's head: configuration and DNS zones.
    pub(crate) own_contexts: Vec<String>,
}

impl RootDse {
    /// Reads the root DSE.
    pub(crate) async fn read(connection: &mut Connection) -> Result<Self, DirectoryError> {
        let attributes = ["*", "+"].map(str::to_owned);
        let search = Search {
            base: "",
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: &attributes,
            controls: Vec::new(),
            size_limit: 0,
            doing: ROOT_DSE,
        };
        let answer = connection.search(&search).await?;
        let mut root = Attributes::default();
        if let Some(entry) = answer.entries.into_iter().next() {
            (
                _,
                range::Assembled {
                    attributes: root,
                    ..
                },
            ) = range::assemble(entry).map_err(|(attribute, source)| DirectoryError::Range {
                server: connection.server().to_owned(),
                attribute,
                source,
            })?;
        }
        Ok(Self::from_root(&root))
    }

    fn from_root(root: &Attributes) -> Self {
        let texts = |name: &str| -> Vec<String> {
            root.get(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect()
        };
        let vendor: Vec<String> = [texts("vendorname"), texts("vendorversion")].concat();
        let naming_contexts = texts("namingcontexts");
        let configuration = texts("configurationnamingcontext");
        let own_contexts = naming_contexts
            .iter()
            .cloned()
            .chain(configuration)
            .collect();
        let number = |name: &str| texts(name).first()?.parse().ok();
        Self {
            data_version: texts("dataversion").concat(),
            change_numbers: number("firstchangenumber").zip(number("lastchangenumber")),
            service: texts("dsservicename").into_iter().next(),
            change_number: number(CHANGE_NUMBER),
            controls: texts("supportedcontrol"),
            subschema: texts("subschemasubentry").into_iter().next(),
            server_type: detect(root),
            vendor: (!vendor.is_empty()).then(|| vendor.join(" ")),
            naming_contexts,
            own_contexts,
        }
    }

    /// The number of the last write at a domain controller, for which nothing else is read.
    pub(crate) async fn change_number(
        connection: &mut Connection,
    ) -> Result<Option<u64>, DirectoryError> {
        let attributes = [CHANGE_NUMBER.to_owned()];
        let entries = connection
            .sample(&Search {
                base: "",
                scope: Scope::Base,
                filter: "(objectClass=*)",
                attributes: &attributes,
                controls: Vec::new(),
                size_limit: 0,
                doing: ROOT_DSE,
            })
            .await?;
        let mut values = entries
            .iter()
            .flat_map(|entry| &entry.attributes)
            .flat_map(|(_, v)| v);
        let text = values
            .next()
            .and_then(|value| std::str::from_utf8(value).ok());
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Whether a control is offered.
    pub(crate) fn offers(&self, oid: &str) -> bool {
        self.controls.iter().any(|control| control == oid)
    }

    /// Whether a DN is the head of a naming context.
    pub(crate) fn is_context(&self, dn: &str) -> bool {
        self.naming_contexts
            .iter()
            .any(|context| fold(context) == fold(dn))
    }

    /// The naming context that holds a DN: the longest, for a search from one above need not cross into it.
    pub(crate) fn naming_context_of(&self, dn: &str) -> Option<&str> {
        let folded = fold(dn);
        self.naming_contexts
            .iter()
            .filter(|context| {
                let context = fold(context);
                !context.is_empty()
                    && (folded == context || folded.ends_with(&format!(",{context}")))
            })
            .max_by_key(|context| context.len())
            .map(String::as_str)
    }

    /// Whether a reference leads out of what the base should bring, such as to a child domain.
    pub(crate) fn is_subordinate(&self, url: &str) -> bool {
        let dn = url.splitn(4, '/').nth(3).unwrap_or_default();
        let dn = fold(dn.split('?').next().unwrap_or_default());
        !self.own_contexts.iter().any(|context| fold(context) == dn)
            && !dn.starts_with("dc=domaindnszones,")
            && !dn.starts_with("dc=forestdnszones,")
    }
}

fn detect(root: &Attributes) -> ServerType {
    let has = |name: &str, wanted: &str| {
        root.get(name)
            .iter()
            .any(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    if has("supportedcapabilities", CAPABILITY_ACTIVE_DIRECTORY) {
        ServerType::ActiveDirectory
    } else if has("objectclass", "OpenLDAProotDSE")
        || has("structuralobjectclass", "OpenLDAProotDSE")
    {
        ServerType::OpenLdap
    } else if !root.get("ipadomainlevel").is_empty()
        || !root.get("ipatopologypluginversion").is_empty()
    {
        ServerType::FreeIpa
    } else if root
        .get("vendorversion")
        .iter()
        .any(|version| version.starts_with(b"389-Directory/"))
    {
        ServerType::DirectoryServer389
    } else {
        ServerType::Generic
    }
}

/// A DN for comparing with naming contexts, which have plain values: case and blanks around separators do not count.
fn fold(dn: &str) -> String {
    dn.split(',')
        .map(|rdn| match rdn.split_once('=') {
            Some((name, value)) => format!("{}={}", name.trim(), value.trim()),
            None => rdn.trim().to_owned(),
        })
        .collect::<Vec<_>>()
        .join(",")
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(items: &[(&str, &[&str])]) -> Attributes {
        items
            .iter()
            .map(|(name, values)| {
                (
                    *name,
                    values.iter().map(|v| v.as_bytes().to_vec()).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn the_root_dse_tells_the_server_type() {
        let ad = attributes(&[
            (
                "supportedCapabilities",
                &["1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670"],
            ),
            ("vendorName", &["Samba Team (https://www.samba.org)"]),
        ]);
        assert_eq!(detect(&ad), ServerType::ActiveDirectory);
        // AD LDS has no domain.
        let lds = attributes(&[("supportedCapabilities", &["1.2.840.113556.1.4.1851"])]);
        assert_eq!(detect(&lds), ServerType::Generic);
        let openldap = attributes(&[("objectClass", &["top", "OpenLDAProotDSE"])]);
        assert_eq!(detect(&openldap), ServerType::OpenLdap);
        let version: (&str, &[&str]) = ("vendorVersion", &["389-Directory/2.3.1 B2025.016.1616"]);
        assert_eq!(
            detect(&attributes(&[version])),
            ServerType::DirectoryServer389
        );
        // A 389-ds with plug-ins of its own.
        let ipa = attributes(&[version, ("ipaDomainLevel", &["1"])]);
        assert_eq!(detect(&ipa), ServerType::FreeIpa);
        assert_eq!(detect(&Attributes::default()), ServerType::Generic);
    }

    #[test]
    fn the_naming_context_that_holds_a_dn_is_found_in_any_spelling() {
        let server = RootDse::from_root(&attributes(&[(
            "namingContexts",
            &[
                "DC=corp,DC=example,DC=com",
                "CN=Configuration,DC=corp,DC=example,DC=com",
                "dc=com",
                "",
            ],
        )]));
        assert_eq!(
            server.naming_context_of("ou=Staff, dc=CORP, dc=example, dc=com"),
            Some("DC=corp,DC=example,DC=com")
        );
        assert_eq!(server.naming_context_of("dc=other,dc=com"), Some("dc=com"));
        assert_eq!(server.naming_context_of("dc=notcom"), None);
        assert_eq!(server.naming_context_of("dc=acom"), None);
    }

    #[test]
    fn a_child_domain_is_subordinate_and_the_own_partitions_are_not() {
        let server = RootDse::from_root(&attributes(&[
            ("namingContexts", &["DC=corp,DC=example,DC=com"]),
            (
                "configurationNamingContext",
                &["CN=Configuration,DC=corp,DC=example,DC=com"],
            ),
        ]));
        for (url, expected) in [
            (
                "ldap://corp.example.com/CN=Configuration,DC=corp,DC=example,DC=com",
                false,
            ),
            (
                "ldap://corp.example.com/DC=DomainDnsZones,DC=corp,DC=example,DC=com",
                false,
            ),
            (
                "ldap://child.corp.example.com/DC=child,DC=corp,DC=example,DC=com",
                true,
            ),
            ("ldap://other/dc=x??sub", true),
            ("nonsense", true),
        ] {
            assert_eq!(server.is_subordinate(url), expected, "{url}");
        }
    }
}
