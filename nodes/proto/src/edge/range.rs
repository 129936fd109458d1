//! The `Range` and `If-Range` headers of RFC 9110, for one object of known size. Called by the edge machine.

/// What part of an object a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, one that RFC 9110 lets a server ignore, or more than one.
    Whole,
    /// These bytes, at least one.
    Part {
        /// The first.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A valid range with no byte inside the object.
    Unsatisfiable,
}

/// Reads the value of a `Range` header. A malformed one, or one in another unit than bytes, counts as absent (RFC 9110,
/// 14.2); several ranges are answered with the whole object.
pub(super) fn parse(header: &str, size: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let mut specs = set.split(',').map(str::trim).filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => match suffix.min(size) {
            0 => Wanted::Unsatisfiable,
            bytes => Wanted::Part { offset: size - bytes, bytes },
        },
        (Some(first), None) if last.is_empty() => part(first, u64::MAX, size),
        (Some(first), Some(last)) if first <= last => part(first, last, size),
        _ => Wanted::Whole,
    }
}

fn part(first: u64, last: u64, size: u64) -> Wanted {
    if first >= size {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part { offset: first, bytes: last.min(size - 1) - first + 1 }
}

/// A number of digits only; one too large for 64 bits lies beyond every object all the same.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// Whether an `If-Range` header lets the range stand: only the object's own strong tag does. Dates never do, because
/// objects have none.
pub(super) fn holds(if_range: Option<&str>, etag: &str) -> bool {
    if_range.is_none_or(|value| value.trim() == etag)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const fn part(offset: u64, bytes: u64) -> Wanted {
        Wanted::Part { offset, bytes }
    }

    #[rstest]
    #[case::first("bytes=0-0", part(0, 1))]
    #[case::middle("bytes=10-19", part(10, 10))]
    #[case::to_the_end("bytes=90-", part(90, 10))]
    #[case::last_byte("bytes=99-99", part(99, 1))]
    #[case::cut_at_the_end("bytes=90-1000", part(90, 10))]
    #[case::suffix("bytes=-10", part(90, 10))]
    #[case::long_suffix("bytes=-1000", part(0, 100))]
    #[case::unit_in_capitals("Bytes=0-1", part(0, 2))]
    #[case::spaces("bytes= 0-1 ", part(0, 2))]
    #[case::empty_list_elements("bytes=,0-1,", part(0, 2))]
    #[case::huge_last("bytes=1-99999999999999999999999", part(1, 99))]
    #[case::beyond("bytes=100-", Wanted::Unsatisfiable)]
    #[case::far_beyond("bytes=200-300", Wanted::Unsatisfiable)]
    #[case::huge_first("bytes=99999999999999999999999-", Wanted::Unsatisfiable)]
    #[case::empty_suffix("bytes=-0", Wanted::Unsatisfiable)]
    #[case::two_ranges("bytes=0-1,5-6", Wanted::Whole)]
    #[case::backwards("bytes=5-4", Wanted::Whole)]
    #[case::no_numbers("bytes=-", Wanted::Whole)]
    #[case::no_dash("bytes=5", Wanted::Whole)]
    #[case::no_unit("0-5", Wanted::Whole)]
    #[case::other_unit("lines=0-5", Wanted::Whole)]
    #[case::nothing("bytes=", Wanted::Whole)]
    #[case::sign("bytes=+1-2", Wanted::Whole)]
    #[case::double_dash("bytes=--5", Wanted::Whole)]
    #[case::hexadecimal("bytes=0x1-5", Wanted::Whole)]
    fn ranges_of_an_object_of_100_bytes(#[case] header: &str, #[case] wanted: Wanted) {
        assert_eq!(parse(header, 100), wanted);
    }

    #[rstest]
    #[case::absent(None, true)]
    #[case::same(Some("\"a\""), true)]
    #[case::other(Some("\"b\""), false)]
    #[case::weak(Some("W/\"a\""), false)]
    #[case::date(Some("Sat, 29 Oct 1994 19:43:31 GMT"), false)]
    fn if_range_compares_strongly(#[case] header: Option<&str>, #[case] expected: bool) {
        assert_eq!(holds(header, "\"a\""), expected);
    }

    proptest::proptest! {
        #[test]
        fn a_part_lies_inside_the_object(header in "bytes=[0-9]{0,21}-[0-9]{0,21}|.{0,30}", size in 1_u64..u64::MAX) {
            if let Wanted::Part { offset, bytes } = parse(&header, size) {
                assert!(bytes >= 1 && offset < size && bytes <= size - offset);
            }
        }
    }
}
