//! The known name that someone who wrote another one may have meant.

/// The candidate with the fewest edits (without regard to case), if they are few for its length.
pub(crate) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written: Vec<char> = written.to_lowercase().chars().take(64).collect();
    candidates
        .into_iter()
        .map(|candidate| {
            let lower: Vec<char> = candidate.to_lowercase().chars().collect();
            (distance(&written, &lower), candidate)
        })
        .filter(|(edits, candidate)| *edits <= 1 + candidate.len() / 4)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = substituted.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_the_name_and_another_word_finds_none() {
        let names = ["displayName", "department", "mail", "jobTitle"];
        for (written, expected) in [
            ("displayname", Some("displayName")),
            ("dispalyName", Some("displayName")),
            ("departmnt", Some("department")),
            ("title", Some("jobTitle")),
            ("salary", None),
            ("", None),
            ("mial", Some("mail")),
        ] {
            assert_eq!(nearest(written, names), expected, "{written}");
        }
    }
}
