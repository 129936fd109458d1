//! Cuts a stream of bytes into lines, however it is chopped and whatever is in it.

/// The longest line that is passed on, in bytes; of a longer one the rest is left out and a remark says so.
pub(super) const LONGEST: usize = 1 << 20;

/// The remark at the end of a line that was too long.
pub(super) const CUT: &str = "… (the line is longer than 1 MiB and was cut here)";

/// A stream that is being cut.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    /// The rest of the line was too long and is left out.
    skipping: bool,
}

impl Lines {
    /// Take more bytes; `line` gets each line that they complete, without its end. Bytes that are not UTF-8 become �.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], line: &mut Vec<String>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.take(&bytes[..end], line);
            if !self.skipping {
                line.push(self.text());
            }
            self.skipping = false;
            bytes = &bytes[end + 1..];
        }
        self.take(bytes, line);
    }

    /// The stream is at its end: a line without an end is a line too.
    pub(crate) fn finish(&mut self) -> Option<String> {
        (!self.begun.is_empty()).then(|| self.text())
    }

    fn take(&mut self, bytes: &[u8], line: &mut Vec<String>) {
        if self.skipping {
            return;
        }
        let room = LONGEST - self.begun.len();
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            let mut text = self.text();
            text.push_str(CUT);
            line.push(text);
            self.skipping = true;
        }
    }

    fn text(&mut self) -> String {
        let begun = std::mem::take(&mut self.begun);
        String::from_utf8(begun).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, &mut all);
        }
        all.extend(lines.finish());
        all
    }

    #[test]
    fn lines_end_at_newlines_and_at_the_end() {
        assert_eq!(cut(&[b"one\ntw", b"o\n\nthree"]), ["one", "two", "", "three"]);
        assert!(cut(&[b""]).is_empty());
        assert_eq!(cut(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let long = vec![b'x'; LONGEST + 7];
        let all = cut(&[&long, &long, b"\nshort\n"]);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].len(), LONGEST + CUT.len());
        assert!(all[0].ends_with(CUT));
        assert_eq!(all[1], "short");
    }

    #[test]
    fn a_line_of_just_the_longest_length_is_whole() {
        let mut long = vec![b'x'; LONGEST];
        long.push(b'\n');
        assert_eq!(cut(&[&long])[0].len(), LONGEST);
    }

    proptest! {
        #[test]
        fn chopping_does_not_matter(bytes: Vec<u8>, at in any::<prop::sample::Index>()) {
            let (a, b) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(cut(&[a, b]), cut(&[&bytes]));
        }

        #[test]
        fn text_comes_through(lines in prop::collection::vec("[^\n]{0,40}", 0..20)) {
            let text = lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
            prop_assert_eq!(cut(&[text.as_bytes()]), lines);
        }
    }
}
