//! The root DSE (RFC 4512 §5.1) and the subschema entry (§4.2), as slapd 2.5 and Windows AD give them.
//!
//! slapd marks what describes the server as operational, so it comes with `+` only; AD gives all of it by default.
//! Only controls and extensions that this directory really has are listed.

use super::Profile;
use super::active_directory::service_name;
use super::entry::Attribute;
use super::modify::generalized_time;
use super::schema::{self, Syntax};
use super::store::Store;

/// RFC 2696.
pub(crate) const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
pub(crate) const MANAGE_DSA_IT: &str = "2.16.840.1.113730.3.4.2";
pub(crate) const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
pub(crate) const DOMAIN_SCOPE: &str = "1.2.840.113556.1.4.1339";
/// MS-ADTS §3.1.1.3.4.1.3.
pub(crate) const DIRSYNC: &str = "1.2.840.113556.1.4.841";
/// RFC 4533 §2.2.
pub(crate) const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
/// RFC 4511 §4.14.
pub(crate) const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// RFC 4532.
pub(crate) const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
/// RFC 3909.
pub(crate) const CANCEL: &str = "1.3.6.1.1.8";

/// An entry that is not kept but made when asked for: attributes, each with whether it is operational.
pub(crate) type Synthetic = Vec<(Attribute, bool)>;

/// The root DSE.
pub(crate) fn root_dse(store: &Store) -> Synthetic {
    let base = store.render(&store.base);
    match store.profile {
        Profile::OpenLdap => vec![
            (
                Attribute::new("objectClass", ["top", "OpenLDAProotDSE"]),
                false,
            ),
            (
                Attribute::new("structuralObjectClass", ["OpenLDAProotDSE"]),
                true,
            ),
            (Attribute::new("namingContexts", [base]), true),
            (
                Attribute::new(
                    "supportedControl",
                    [MANAGE_DSA_IT, PAGED_RESULTS, SYNC_REQUEST],
                ),
                true,
            ),
            (
                Attribute::new("supportedExtension", [START_TLS, WHO_AM_I, CANCEL]),
                true,
            ),
            // all operational attributes, absolute filters
            (
                Attribute::new(
                    "supportedFeatures",
                    ["1.3.6.1.4.1.4203.1.5.1", "1.3.6.1.4.1.4203.1.5.3"],
                ),
                true,
            ),
            (Attribute::new("supportedLDAPVersion", ["3"]), true),
            (Attribute::new("entryDN", [""]), true),
            (Attribute::new("subschemaSubentry", ["cn=Subschema"]), true),
        ],
        Profile::Ad => {
            let configuration = format!("CN=Configuration,{base}");
            let schema = format!("CN=Schema,{configuration}");
            let names: Vec<String> = store
                .base
                .0
                .iter()
                .flat_map(|rdn| rdn.0.iter().map(|ava| ava.value.clone()))
                .collect();
            let server = store.server.to_lowercase();
            let host = format!("{server}.{}", names.join("."));
            let one = |name: &str, value: &str| (Attribute::new(name, [value]), false);
            vec![
                one("currentTime", &generalized_time(".0")),
                one("subschemaSubentry", &format!("CN=Aggregate,{schema}")),
                one("dsServiceName", &service_name(store)),
                (
                    Attribute::new("namingContexts", [base.as_str(), &configuration, &schema]),
                    false,
                ),
                one("defaultNamingContext", &base),
                one("schemaNamingContext", &schema),
                one("configurationNamingContext", &configuration),
                one("rootDomainNamingContext", &base),
                (
                    Attribute::new(
                        "supportedControl",
                        [
                            PAGED_RESULTS,
                            SHOW_DELETED,
                            MANAGE_DSA_IT,
                            DOMAIN_SCOPE,
                            DIRSYNC,
                        ],
                    ),
                    false,
                ),
                one("supportedLDAPVersion", "3"),
                (
                    Attribute::new("supportedLDAPPolicies", ["MaxPageSize", "MaxValRange"]),
                    false,
                ),
                one("highestCommittedUSN", &store.usn.to_string()),
                one("dnsHostName", &host),
                one(
                    "ldapServiceName",
                    &format!(
                        "{}:{server}$@{}",
                        names.join("."),
                        names.join(".").to_uppercase()
                    ),
                ),
                one("supportedExtension", START_TLS),
                (
                    Attribute::new(
                        "supportedCapabilities",
                        ["1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670"],
                    ),
                    false,
                ),
                one("isSynchronized", "TRUE"),
                one("isGlobalCatalogReady", "TRUE"),
                one("domainFunctionality", "7"),
                one("forestFunctionality", "7"),
                one("domainControllerFunctionality", "7"),
            ]
        }
    }
}

/// The entry `cn=Subschema`, with the attribute types that this directory has.
pub(crate) fn subschema(store: &Store) -> Synthetic {
    let types = schema::attribute_types(store.profile).map(|each| {
        let syntax = match each.syntax {
            Syntax::Text | Syntax::ExactText => "15",
            Syntax::Name => "12",
            Syntax::Integer => "27",
            Syntax::Octets => "40",
            Syntax::Boolean => "7",
            Syntax::Time => "24",
            Syntax::Telephone => "50",
            Syntax::Uuid => "1.3.6.1.1.16.1",
            Syntax::Identifier => "38",
            Syntax::ChangeNumber => "1.3.6.1.4.1.4203.666.11.2.1",
        };
        let syntax = if syntax.len() > 2 {
            syntax.to_owned()
        } else {
            format!("1.3.6.1.4.1.1466.115.121.1.{syntax}")
        };
        let single = if each.single_valued(store.profile) {
            " SINGLE-VALUE"
        } else {
            ""
        };
        format!(
            "( {} NAME '{}' SYNTAX {syntax}{single} )",
            each.oid, each.name
        )
    });
    vec![
        (
            Attribute::new(
                "objectClass",
                ["top", "subentry", "subschema", "extensibleObject"],
            ),
            false,
        ),
        (Attribute::new("cn", ["Subschema"]), false),
        (Attribute::new("structuralObjectClass", ["subentry"]), true),
        (Attribute::new("attributeTypes", types), true),
        (Attribute::new("entryDN", ["cn=Subschema"]), true),
    ]
}
