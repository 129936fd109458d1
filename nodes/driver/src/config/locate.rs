//! The line of a value in a JSON text, by its path of keys: `role.peer.holds[2]`. Called for error messages, with a text
//! that was already parsed.

/// The line, from 1, of the value at `path`, or of the nearest value around it that is there.
pub(super) fn line(text: &str, path: &str) -> usize {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    for key in path.split('.') {
        let (name, index) = match key.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (key, None),
        };
        if !cursor.enter_member(name) || index.is_some_and(|index| !cursor.enter_element(index)) {
            break;
        }
    }
    cursor.skip_space();
    text.as_bytes()[..cursor.at].split(|byte| *byte == b'\n').count()
}

/// A place in a valid JSON text.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Goes from an object to its member `name`; stays if there is none.
    fn enter_member(&mut self, name: &str) -> bool {
        let start = self.at;
        if self.take(b'{') {
            while !self.take(b'}') && self.peek().is_some() {
                self.skip_space();
                let begin = self.at;
                self.skip_value();
                let key = &self.bytes[begin..self.at];
                if !self.take(b':') {
                    break; // not valid JSON after all
                }
                if key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")) == Some(name.as_bytes()) {
                    return true;
                }
                self.skip_value();
                self.take(b',');
            }
        }
        self.at = start;
        false
    }

    /// Goes from a list to its element `index`; stays if there is none.
    fn enter_element(&mut self, index: usize) -> bool {
        let start = self.at;
        if self.take(b'[') {
            for _ in 0..index {
                self.skip_value();
                self.take(b',');
            }
            self.skip_space();
            if !matches!(self.peek(), None | Some(b']')) {
                return true;
            }
        }
        self.at = start;
        false
    }

    /// Goes past a string, a list, an object or a scalar.
    fn skip_value(&mut self) {
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'{' | b'[') => self.skip_brackets(),
            _ => {
                let scalar = |byte: u8| !byte.is_ascii_whitespace() && !b",:]}".contains(&byte);
                while self.peek().is_some_and(scalar) {
                    self.at += 1;
                }
            }
        }
    }

    fn skip_brackets(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at = self.bytes.len().min(self.at + if byte == b'\\' { 2 } else { 1 });
            if byte == b'"' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    const TEXT: &str = r#"{
  "name": "a \" } ] , : b",
  "role": {"x": [1, [2,
    3], {"y": true}], "list": [
      {"id": "one"},
      {"id":
        "two"}
    ]
  },
  "last": null
}"#;

    #[test]
    fn values_are_found_by_their_keys() {
        for (path, expected) in [
            ("name", 2),
            ("role", 3),
            ("role.x[0]", 3),
            ("role.x[1]", 3),
            ("role.x[2].y", 4),
            ("role.list[1]", 6),
            ("role.list[1].id", 7),
            ("last", 10),
            // Not there: the nearest that is.
            ("role.list[2]", 4),
            ("role.list[0].other", 5),
            ("other", 1),
            (".", 1),
        ] {
            assert_eq!(line(TEXT, path), expected, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn other_text_does_no_harm(text in "[\\[\\]{}\",:a1 \\\\\n]{0,60}") {
            line(&text, "a.b[1].c");
        }
    }
}
