//! A span of time as manifests write it: a Go duration such as `30s`, `15m` or `1h30m`.
//!
//! Reads what `kube::core::Duration` reads (the grammar of Go's `time.ParseDuration`) except negative values, and prints the
//! shortest form, so that a default in a schema is `15m` and not `900s`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time that is not negative, written as a Go duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

/// Why a text is no [`Duration`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text does not follow the grammar.
    #[error("'{text}' must be a duration such as '30s', '15m' or '1h30m'")]
    Malformed {
        /// The text as written.
        text: String,
        /// What the parser found.
        #[source]
        source: kube::core::duration::ParseError,
    },
    /// The text is below zero.
    #[error("'{text}' must not be negative")]
    Negative {
        /// The text as written.
        text: String,
    },
}

impl Duration {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed =
            text.parse::<kube::core::Duration>()
                .map_err(|source| DurationError::Malformed {
                    text: text.to_owned(),
                    source,
                })?;
        if parsed.is_negative() {
            return Err(DurationError::Negative {
                text: text.to_owned(),
            });
        }
        Ok(Self(parsed.into()))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0.as_secs(), self.0.subsec_nanos());
        let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        let rest = std::time::Duration::new(seconds % 60, nanoseconds);
        if rest.is_zero() && seconds > 0 {
            return Ok(());
        }
        if nanoseconds == 0 {
            write!(f, "{}s", rest.as_secs())
        } else {
            write!(f, "{}ms", rest.as_secs_f64() * 1000.0)
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 32})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_prints_in_its_shortest_form_and_reads_back() {
        for (written, printed) in [
            ("30s", "30s"),
            ("15m", "15m"),
            ("900s", "15m"),
            ("90m", "1h30m"),
            ("1h0m1s", "1h1s"),
            ("1500ms", "1500ms"),
            ("0s", "0s"),
        ] {
            let duration: Duration = written.parse().unwrap();
            assert_eq!(duration.to_string(), printed, "{written}");
            assert_eq!(printed.parse::<Duration>().unwrap(), duration, "{printed}");
        }
    }

    #[test]
    fn a_negative_or_malformed_duration_is_refused_with_what_was_written() {
        for (written, error) in [
            ("-5s", "'-5s' must not be negative"),
            (
                "5",
                "'5' must be a duration such as '30s', '15m' or '1h30m'",
            ),
        ] {
            assert_eq!(written.parse::<Duration>().unwrap_err().to_string(), error);
        }
    }
}
