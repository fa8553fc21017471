//! Against a real Samba domain controller.
