//! The limits on property values: tables, and the few formats a table cannot say (fact sheet §3.3, §4.3).

use serde_json::{Map, Value};

use super::answer::Answer;

/// Longest text, in characters.
pub(super) const USER_LENGTHS: [(&str, usize); 15] = [
    ("displayName", 256),
    ("mailNickname", 64),
    ("givenName", 64),
    ("surname", 64),
    ("department", 64),
    ("companyName", 64),
    ("jobTitle", 128),
    ("city", 128),
    ("state", 128),
    ("country", 128),
    ("postalCode", 40),
    ("streetAddress", 1_024),
    ("mobilePhone", 64),
    ("employeeId", 16),
    ("userPrincipalName", 113),
];

pub(super) const GROUP_LENGTHS: [(&str, usize); 2] = [("displayName", 256), ("mailNickname", 64)];

pub(super) const USER_READ_ONLY: [&str; 24] = [
    "id",
    "createdDateTime",
    "deletedDateTime",
    "creationType",
    "proxyAddresses",
    "imAddresses",
    "assignedLicenses",
    "assignedPlans",
    "provisionedPlans",
    "licenseAssignmentStates",
    "lastPasswordChangeDateTime",
    "securityIdentifier",
    "signInSessionsValidFromDateTime",
    "isManagementRestricted",
    "legalAgeGroupClassification",
    "serviceProvisioningErrors",
    "onPremisesSyncEnabled",
    "onPremisesDistinguishedName",
    "onPremisesSamAccountName",
    "onPremisesDomainName",
    "onPremisesSecurityIdentifier",
    "onPremisesUserPrincipalName",
    "onPremisesLastSyncDateTime",
    "onPremisesProvisioningErrors",
];

pub(super) const GROUP_READ_ONLY: [&str; 18] = [
    "id",
    "createdDateTime",
    "deletedDateTime",
    "expirationDateTime",
    "renewedDateTime",
    "mail",
    "proxyAddresses",
    "securityIdentifier",
    "isManagementRestricted",
    "licenseProcessingState",
    "serviceProvisioningErrors",
    "onPremisesSyncEnabled",
    "onPremisesSamAccountName",
    "onPremisesDomainName",
    "onPremisesNetBiosName",
    "onPremisesSecurityIdentifier",
    "onPremisesLastSyncDateTime",
    "onPremisesProvisioningErrors",
];

/// Kept outside the directory: not writable with application permissions.
pub(super) const OUTSIDE_THE_DIRECTORY: [&str; 12] = [
    "aboutMe",
    "birthday",
    "interests",
    "mySite",
    "pastProjects",
    "responsibilities",
    "schools",
    "skills",
    "hireDate",
    "preferredName",
    "signInActivity",
    "deviceEnrollmentLimit",
];

/// Not part of a create of a group; a later PATCH sets them, alone.
pub(super) const GROUP_LATER: [&str; 6] = [
    "allowExternalSenders",
    "autoSubscribeNewMembers",
    "hideFromAddressLists",
    "hideFromOutlookClients",
    "isSubscribedByMail",
    "unseenCount",
];

/// ISO 3166-1 alpha-2.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE \
    RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

fn is_longer(text: &str, limit: usize) -> bool {
    text.chars().nth(limit).is_some()
}

/// Checks every text against a table of lengths.
pub(super) fn lengths(
    fields: &Map<String, Value>,
    table: &[(&str, usize)],
    resource: &str,
) -> Result<(), Answer> {
    for (property, limit) in table {
        if fields
            .get(*property)
            .and_then(Value::as_str)
            .is_some_and(|text| is_longer(text, *limit))
        {
            return Err(Answer::invalid_value(property, resource));
        }
    }
    Ok(())
}

/// Formats of a user's values, beyond their length. `null` is judged elsewhere.
pub(super) fn user_format(property: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let list = value.as_array();
    match property {
        "displayName" | "mailNickname" => !text.is_empty(),
        "businessPhones" => list.is_some_and(|phones| phones.len() <= 1 && texts(phones, 64)),
        "otherMails" => list.is_some_and(|mails| {
            mails.len() <= 250
                && texts(mails, 250)
                && mails.iter().all(|mail| mail.as_str().is_some_and(is_mail))
        }),
        "mail" => is_mail(text),
        "usageLocation" => text.len() == 2 && COUNTRIES.split(' ').any(|code| code == text),
        "preferredLanguage" => is_language(text),
        "onPremisesImmutableId" => !text.is_empty() && !text.contains(['$', '_']),
        "passwordPolicies" => text.split(',').map(str::trim).all(|word| {
            matches!(
                word,
                "None" | "DisablePasswordExpiration" | "DisableStrongPassword"
            )
        }),
        "userType" => matches!(text, "Member" | "Guest"),
        "onPremisesExtensionAttributes" => value.as_object().is_some_and(extension_attributes),
        "employeeOrgData" => {
            let known = |(name, value): (&String, &Value)| {
                matches!(name.as_str(), "division" | "costCenter")
                    && (value.is_string() || value.is_null())
            };
            value
                .as_object()
                .is_some_and(|fields| fields.iter().all(known))
        }
        _ => true,
    }
}

fn texts(values: &[Value], limit: usize) -> bool {
    values
        .iter()
        .all(|value| value.as_str().is_some_and(|text| !is_longer(text, limit)))
}

/// An SMTP address without accents.
fn is_mail(text: &str) -> bool {
    let parts = text.split_once('@');
    text.is_ascii()
        && !text.contains([' ', '<', '>', '"', ','])
        && parts.is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
}

/// `en`, `en-US`, `zh-Hans-CN`.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

fn extension_attributes(fields: &Map<String, Value>) -> bool {
    fields.iter().all(|(name, value)| {
        let number = name
            .strip_prefix("extensionAttribute")
            .and_then(|number| number.parse::<u8>().ok());
        number.is_some_and(|number| (1..=15).contains(&number))
            && (value.is_null() || value.as_str().is_some_and(|text| !is_longer(text, 1_024)))
    })
}

/// Whether a user principal name is well formed; whether its domain is verified is the tenant's to say.
pub(super) fn user_principal_name(text: &str) -> Option<&str> {
    let (alias, domain) = text.split_once('@')?;
    let allowed = |char: char| char.is_ascii_alphanumeric() || "'.-_!#^~".contains(char);
    let fits = !alias.is_empty()
        && alias.len() <= 64
        && !domain.is_empty()
        && domain.len() <= 48
        && text.len() <= 113;
    (fits && alias.chars().all(allowed) && !alias.ends_with('.')).then_some(domain)
}

/// 8 to 256 characters of ASCII from three of four classes.
pub(super) fn password(text: &str) -> bool {
    let has = |class: fn(u8) -> bool| u8::from(text.bytes().any(class));
    let classes = has(|byte| byte.is_ascii_lowercase())
        + has(|byte| byte.is_ascii_uppercase())
        + has(|byte| byte.is_ascii_digit())
        + has(|byte| byte.is_ascii_punctuation() || byte == b' ');
    let banned = ["password", "passw0rd", "p@ssw0rd", "p@ssword"];
    let lower = text.to_lowercase();
    (8..=256).contains(&text.len())
        && text.is_ascii()
        && classes >= 3
        && !banned.iter().any(|word| lower.starts_with(word))
}

/// A group's mail nickname: ASCII without what mail addresses and shells cannot carry.
pub(super) fn group_nickname(text: &str) -> bool {
    !text.is_empty()
        && text.is_ascii()
        && !text.contains([
            '@', '(', ')', '\\', '[', ']', '"', ';', ':', '<', '>', ',', ' ',
        ])
}
