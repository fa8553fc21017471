//! Text as directories compare it: `caseIgnoreMatch` with the string preparation of RFC 4518, as far as directories rely on it.
//!
//! Case is folded, white space of any kind counts as a space, runs of spaces count as one, spaces at both ends do not count.
//! Unicode normalisation is left out: a composed and a decomposed letter differ, as they do in Active Directory.

/// The form under which two texts are equal when a directory says so. Folding it again changes nothing.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = fold_part(text);
    if folded.ends_with(' ') {
        folded.pop();
    }
    if folded.starts_with(' ') {
        folded.remove(0);
    }
    folded
}

/// Like [`fold`], but one space at either end is kept: for a piece of a substring filter.
pub(crate) fn fold_part(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_whitespace() => {
                if !folded.ends_with(' ') {
                    folded.push(' ');
                }
            }
            _ if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            // Lower-casing keeps these apart from the capitals that they share.
            'ß' | 'ẞ' => folded.push_str("ss"),
            'ς' => folded.push('σ'),
            'ſ' => folded.push('s'),
            _ => folded.extend(c.to_lowercase()),
        }
    }
    folded
}
