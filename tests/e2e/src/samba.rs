//! A real Active Directory domain: Samba's domain controller on a loopback address of its own, where simple binds need TLS. Needs
//! root. A domain takes 20 to 30 s to make.

use std::path::PathBuf;

use anyhow::Result;

use crate::login::Login;
use crate::script::{Server, free_address};

/// A domain with one controller.
#[derive(Debug)]
pub struct Samba {
    server: Server,
}

impl Samba {
    /// Makes the domain `corp.example.com` and the account of [`Samba::reader`].
    pub fn start() -> Result<Self> {
        Samba::start_with(&[])
    }

    /// The same with further settings of `tests/samba-ad`, such as `AD_REALM`.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        let address = free_address(&[88, 135, 389, 636, 3268, 3269])?.to_string();
        let mut environment = vec![("AD_IP", address.as_str()), ("AD_STRONG_AUTH", "yes")];
        environment.extend_from_slice(settings);
        let samba = Samba {
            server: Server::up("tests/samba-ad", &environment)?,
        };
        samba.server.run("seed", &[])?;
        Ok(samba)
    }

    /// The domain's naming context, as in `DC=corp,DC=example,DC=com`.
    pub fn base_dn(&self) -> Result<&str> {
        self.server.fact("AD_BASE_DN")
    }

    /// `ldap://ADDRESS:389`, for StartTLS.
    pub fn ldap_url(&self) -> Result<&str> {
        self.server.fact("AD_LDAP_URL")
    }

    /// The domain's Administrator, to make and change people; never for a connector.
    pub fn administrator(&self) -> Result<Login> {
        self.login("AD_BIND_DN", "AD_BIND_PASSWORD")
    }

    /// The account for connectors: it may read what every account may, list deleted objects, and nothing beyond.
    pub fn reader(&self) -> Result<Login> {
        self.login("AD_READER_DN", "AD_READER_PASSWORD")
    }

    fn login(&self, dn: &str, password: &str) -> Result<Login> {
        Ok(Login {
            url: self.server.fact("AD_LDAPS_URL")?.to_owned(),
            ca_file: PathBuf::from(self.server.fact("AD_CA_FILE")?),
            dn: self.server.fact(dn)?.to_owned(),
            password: self.server.fact(password)?.to_owned(),
        })
    }

    /// Runs `samba-tool` on the controller.
    pub fn tool(&self, arguments: &[&str]) -> Result<String> {
        self.server.run("tool", arguments)
    }

    /// The server, to stop and start it.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }
}
