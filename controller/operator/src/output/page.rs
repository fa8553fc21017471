//! Running text for a terminal: lines that are wrapped at blanks, with what follows indented under what it belongs to.

use std::fmt::Write as _;

/// So many characters fit on a line.
const WIDTH: usize = 98;

/// A text that is being written.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// A heading with an empty line above it.
    pub fn heading(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(0, text);
    }

    /// A line, after so many blanks; what does not fit follows two blanks further in.
    pub fn line(&mut self, indent: usize, text: &str) {
        self.wrapped(indent, indent + 2, text);
    }

    /// A label and what it stands for, in two columns.
    pub fn field(&mut self, indent: usize, label: &str, column: usize, text: &str) {
        self.wrapped(indent, indent + column, &format!("{label:<column$}{text}"));
    }

    /// Words longer than a line (DNs, digests) are never cut: they must survive being copied.
    fn wrapped(&mut self, first: usize, rest: usize, text: &str) {
        let mut line = " ".repeat(first);
        let mut empty = true;
        for word in text.split_inclusive(' ') {
            let length = line.chars().count() + word.trim_end().chars().count();
            if !empty && length > WIDTH {
                self.push(&line);
                line = " ".repeat(rest);
            }
            line.push_str(word);
            empty = false;
        }
        self.push(&line);
    }

    fn push(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// A text without control characters, for a value must not steer the terminal.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Bytes that are no text.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_under_their_column_and_no_word_is_cut() {
        let mut page = Page::default();
        page.field(2, "entry", 8, &"word ".repeat(20));
        page.heading("NEXT");
        page.line(2, &"x".repeat(120));
        let text = page.finish();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("  entry   {}word", "word ".repeat(16)));
        assert_eq!(lines[1], format!("{}word word word", " ".repeat(10)));
        assert_eq!(lines[2..4], ["", "NEXT"]);
        assert_eq!(lines[4], format!("  {}", "x".repeat(120)));
    }

    #[test]
    fn a_value_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nç"), "a\\u{1b}[2Jb\\nç");
    }
}
