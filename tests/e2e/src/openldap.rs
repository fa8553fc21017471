//! A real OpenLDAP: Debian's slapd on a loopback address of its own, where simple binds need TLS.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::login::Login;
use crate::script::{Server, free_address};

/// One slapd with one database.
#[derive(Debug)]
pub struct OpenLdap {
    server: Server,
}

impl OpenLdap {
    /// Starts one with the suffix `dc=example,dc=com` that holds only its service accounts.
    pub fn start() -> Result<Self> {
        OpenLdap::start_with(&[])
    }

    /// The same with further settings of `tests/openldap`, such as `OL_SUFFIX`, `OL_SIZELIMIT` or `OL_ACL_FILE`.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        let address = free_address(&[1389, 1636])?.to_string();
        let mut environment = vec![("OL_IP", address.as_str()), ("OL_REQUIRE_TLS", "yes")];
        environment.extend_from_slice(settings);
        Ok(OpenLdap {
            server: Server::up("tests/openldap", &environment)?,
        })
    }

    /// Its suffix, as in `dc=example,dc=com`.
    pub fn suffix(&self) -> Result<&str> {
        self.server.fact("OL_SUFFIX")
    }

    /// `ldap://ADDRESS:1389`, for StartTLS.
    pub fn ldap_url(&self) -> Result<&str> {
        self.server.fact("OL_LDAP_URL")
    }

    /// The root of the database, to make and change people; never for a connector.
    pub fn administrator(&self) -> Result<Login> {
        self.login("OL_BIND_DN", "OL_BIND_PASSWORD")
    }

    /// The account for connectors: it reads all but passwords.
    pub fn reader(&self) -> Result<Login> {
        self.login("OL_READER_DN", "OL_READER_PASSWORD")
    }

    /// The root of `cn=config`, to change access rules and limits while it runs.
    pub fn config(&self) -> Result<Login> {
        self.login("OL_CONFIG_DN", "OL_BIND_PASSWORD")
    }

    fn login(&self, dn: &str, password: &str) -> Result<Login> {
        Ok(Login {
            url: self.server.fact("OL_LDAPS_URL")?.to_owned(),
            ca_file: PathBuf::from(self.server.fact("OL_CA_FILE")?),
            dn: self.server.fact(dn)?.to_owned(),
            password: self.server.fact(password)?.to_owned(),
        })
    }

    /// Adds an LDIF file with the server stopped: seconds for 100,000 entries.
    pub fn load(&self, ldif: &Path) -> Result<()> {
        self.server
            .run("load", &[&ldif.to_string_lossy()])
            .map(drop)
    }

    /// The server, to stop and start it.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }
}
