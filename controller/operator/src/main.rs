//! The `plumbline` binary.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Everything on TLS asks for the one provider; without it the first connection would panic.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("error: another TLS provider was installed before ours");
        return ExitCode::FAILURE;
    }
    plumbline::cli::run(plumbline::cli::Cli::parse())
}
