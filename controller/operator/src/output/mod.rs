//! What the command line prints: tables that fit a terminal, JSON for programs, Markdown for pull requests. Data goes to standard
//! output, everything else to standard error.

pub mod explain;
pub mod explain_json;
pub mod markdown;
pub mod page;
pub mod plan;
pub mod progress;
pub mod resources;
pub mod table;

/// The form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    #[default]
    Table,
    Json,
    Markdown,
}
