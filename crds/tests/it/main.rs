//! The generated files are up to date, the schemas keep Kubernetes' conventions, and nonsense is refused with a sentence that helps.
//!
//! The modules are marked `cfg(test)` so that clippy knows their functions for tests, where `unwrap` is allowed.

#[cfg(test)]
mod conventions;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod pairs;
