//! The little of BER (X.690) that controls need: elements of one tag byte and a definite length, read without trusting a byte.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Tag and content of the next element; `None` when there is no whole one.
    pub(crate) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let (digits, tail) = rest.split_at_checked(usize::from(first & 0x7f))?;
            // No digits is the indefinite form, which LDAP forbids (RFC 4511 §5.1).
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            rest = tail;
            digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit))
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .and_then(|(found, content)| (found == tag).then_some(content))
    }

    /// The content of the next element if it has this tag; otherwise nothing is consumed.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let content = ahead.expect(tag)?;
        *self = ahead;
        Some(content)
    }

    /// A BOOLEAN, or its default where it is left out.
    pub(crate) fn boolean(&mut self, default: bool) -> Option<bool> {
        match self.optional(BOOLEAN) {
            None => Some(default),
            Some([value]) => Some(*value != 0),
            Some(_) => None,
        }
    }
}

/// One element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        _ => {
            let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
            bytes.push(0x84);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in any::<u8>(), content in prop::collection::vec(any::<u8>(), 0..400), tail in any::<Vec<u8>>()) {
            let bytes = [element(tag, &content), tail.clone()].concat();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.next(), Some((tag, content.as_slice())));
            prop_assert_eq!(reader.is_empty(), tail.is_empty());
        }

        #[test]
        fn a_cut_element_is_none(content in prop::collection::vec(any::<u8>(), 0..400), cut in 1usize..400) {
            let mut bytes = element(SEQUENCE, &content);
            bytes.truncate(bytes.len().saturating_sub(cut));
            prop_assert_eq!(Reader::new(&bytes).next(), None);
        }
    }

    #[test]
    fn lengths_that_ldap_forbids_are_none() {
        for bytes in [
            &[0x30, 0x80, 0, 0][..],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x30, 0xff],
            &[0x30],
        ] {
            assert_eq!(Reader::new(bytes).next(), None, "{bytes:?}");
        }
    }
}
