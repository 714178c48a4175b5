//! Equality of JSON values, determined without writing the canonical text of either if possible.

use crate::model::{
    json::{canonical::canonical_of, scan::Scan},
    limits::NESTING_MAX,
    work,
};

/// Returns whether two JSON texts are the same value apart from white space, the order of fields
/// and the escaping of strings.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    is_same_at_sight(one, other)
        .unwrap_or_else(|| canonical_of(one).ok() == canonical_of(other).ok())
}

/// Compares both texts side by side until they differ. Returns `None` if that does not decide it:
/// strings are escaped or objects are written differently.
pub(super) fn is_same_at_sight(one: &str, other: &str) -> Option<bool> {
    if one == other {
        work::parsed(one.len());
        return Some(true);
    }
    let (mut one, mut other) = (Scan::new(one), Scan::new(other));
    let is_same = values(&mut one, &mut other, 0);
    work::parsed(one.passed() + other.passed());
    is_same
}

/// Passes a value in both texts, nested in `depth` others; a value that differs may not be passed.
fn values(one: &mut Scan<'_>, other: &mut Scan<'_>, depth: usize) -> Option<bool> {
    match (one.peek(), other.peek()) {
        (Some(b'['), Some(b'[')) if depth == NESTING_MAX => None,
        (Some(b'['), Some(b'[')) => arrays(one, other, depth),
        (Some(b'{'), Some(b'{')) => (one.value() == other.value()).then_some(true),
        (Some(b'"'), Some(b'"')) => {
            let (one, other) = (one.value(), other.value());
            let is_same = one == other;
            (is_same || !one.contains('\\') && !other.contains('\\')).then_some(is_same)
        }
        (Some(b'[' | b'{' | b'"'), _) | (_, Some(b'[' | b'{' | b'"')) => Some(false),
        _ => Some(one.value() == other.value()),
    }
}

fn arrays(one: &mut Scan<'_>, other: &mut Scan<'_>, depth: usize) -> Option<bool> {
    one.take(b'[');
    other.take(b'[');
    loop {
        match (one.take(b']'), other.take(b']')) {
            (true, true) => return Some(true),
            (false, false) => (),
            _ => return Some(false),
        }

        if one.peek().is_none() || other.peek().is_none() {
            return None; // not valid JSON
        }
        if !values(one, other, depth + 1)? {
            return Some(false);
        }

        one.take(b',');
        other.take(b',');
    }
}
