//! The one place where YAML is read. Documents go through `serde_yaml::Value` first, which refuses duplicate keys, and come
//! out as JSON values, in which unions are plain maps.

use serde::Deserialize as _;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    #[error("not valid YAML")]
    Syntax(#[source] serde_yaml::Error),
    #[error("not representable as JSON, as Kubernetes needs it")]
    Json(#[source] serde_json::Error),
}

/// All documents of a file that are not empty.
pub fn documents(text: &str) -> Result<Vec<serde_json::Value>, YamlError> {
    let mut values = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document).map_err(YamlError::Syntax)?;
        if !value.is_null() {
            values.push(serde_json::to_value(value).map_err(YamlError::Json)?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_separated_and_duplicate_keys_refused() -> anyhow::Result<()> {
        assert_eq!(documents("a: 1\n---\n---\nb: {c: [x]}\n")?.len(), 2);
        assert!(documents("a: 1\na: 2\n").is_err());
        assert!(documents("a: [\n").is_err());
        Ok(())
    }
}
