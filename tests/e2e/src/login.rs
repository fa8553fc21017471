//! One account at one LDAP server, used with the `ldap-utils` programs: an implementation that is not ours, to change a
//! directory and to look into it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::script::output;

/// An account at a server, always over TLS.
#[derive(Clone, Debug)]
pub struct Login {
    /// `ldaps://…`
    pub url: String,
    /// PEM file of the authority that the server's certificate comes from.
    pub ca_file: PathBuf,
    /// DN of the account.
    pub dn: String,
    /// Its password.
    pub password: String,
}

impl Login {
    /// Applies LDIF: entries without a `changetype` are added.
    pub fn modify(&self, ldif: &str) -> Result<()> {
        output(&mut self.program("ldapmodify", &["-a"]), Some(ldif)).map(drop)
    }

    /// What `ldapsearch` prints for this base, scope (`base`, `one`, `sub`), filter and attributes, as LDIF without comments.
    pub fn search(
        &self,
        base: &str,
        scope: &str,
        filter: &str,
        attributes: &[&str],
    ) -> Result<String> {
        let options = [
            "-LLL",
            "-o",
            "ldif-wrap=no",
            "-b",
            base,
            "-s",
            scope,
            filter,
        ];
        output(self.program("ldapsearch", &options).args(attributes), None)
    }

    /// A program of `ldap-utils` with this login, for what the other functions do not cover.
    pub fn program(&self, name: &str, options: &[&str]) -> Command {
        let mut command = Command::new(name);
        command
            .args(["-x", "-H", &self.url, "-D", &self.dn, "-w", &self.password])
            .args(options);
        command
            .env("LDAPTLS_CACERT", &self.ca_file)
            .env("LDAPTLS_REQCERT", "demand");
        command
    }

    /// The authority's certificate as PEM, for a ConfigMap.
    pub fn ca(&self) -> Result<String> {
        std::fs::read_to_string(&self.ca_file)
            .with_context(|| format!("cannot read {}", self.ca_file.display()))
    }
}
