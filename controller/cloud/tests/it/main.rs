//! The Graph target against the lab tenant, in one process.

mod export;
mod fixture;
mod pace;
mod read;
mod session;
