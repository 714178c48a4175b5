//! The differences between two long texts or arrays. The crate `imara-diff` finds them: its
//! heuristics bound the work for texts that have little in common.

use std::{borrow::Cow, hash::Hash};

use imara_diff::{Algorithm, Diff, InternedInput};
use serde_json::value::RawValue;

use crate::{model::work, rules::comparison::row::compact};

/// The maximum number of words of a text and of elements of an array. Longer ones are reported as
/// completely different.
pub const WORDS_MAX: usize = 5000;

/// The origin of a part of two texts or arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiffKind {
    /// Both contain the part.
    Equal,
    /// Only the old one contains the part.
    Removed,
    /// Only the new one contains the part.
    Added,
}

/// A part of two texts or arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffPart<'a> {
    /// Which of the two contain the part.
    pub kind: DiffKind,
    /// The part; of an equal one, as in the old text or array.
    pub text: &'a str,
}

/// Returns the differences between two texts in words, in the order of the texts. Adjacent parts
/// have different kinds. The parts that are not added form the old text, and those that are not
/// removed the new one. Texts of more than [`WORDS_MAX`] words that differ have one part each.
///
/// # Example
///
/// ```
/// use tidemark_core::rules::comparison::{DiffKind, words};
///
/// let parts = words("at the front door", "at the back door");
/// let parts: Vec<_> = parts.iter().map(|part| (part.kind, part.text)).collect();
/// assert_eq!(
///     parts,
///     [
///         (DiffKind::Equal, "at the "),
///         (DiffKind::Removed, "front"),
///         (DiffKind::Added, "back"),
///         (DiffKind::Equal, " door"),
///     ]
/// );
/// ```
pub fn words<'a>(old: &'a str, new: &'a str) -> Vec<DiffPart<'a>> {
    let is_long = |text: &str| text.split_whitespace().nth(WORDS_MAX).is_some();
    if old == new || is_long(old) || is_long(new) {
        return whole(old, new);
    }

    // Merge adjacent words of the same kind, as a kind and a number of bytes.
    let (old_words, new_words) = (split(old), split(new));
    let mut runs: Vec<(DiffKind, usize)> = Vec::new();
    for (kind, index) in steps(old_words.iter().copied(), new_words.iter().copied()) {
        let words = match kind {
            DiffKind::Added => &new_words,
            DiffKind::Equal | DiffKind::Removed => &old_words,
        };
        let bytes = words.get(index).map_or(0, |word| word.len());
        match runs.last_mut() {
            Some((last, total)) if *last == kind => *total += bytes,
            _ => runs.push((kind, bytes)),
        }
    }

    // Cut the parts from the texts.
    let (mut old_rest, mut new_rest) = (old, new);
    let cut = |(kind, bytes): (DiffKind, usize)| {
        let text = match kind {
            DiffKind::Equal => {
                take(&mut new_rest, bytes);
                take(&mut old_rest, bytes)
            }
            DiffKind::Removed => take(&mut old_rest, bytes),
            DiffKind::Added => take(&mut new_rest, bytes),
        };
        DiffPart { kind, text }
    };
    runs.into_iter().map(cut).collect()
}

/// Returns the elements of two arrays in order, each as kept, removed or added. Elements are equal
/// if their texts are equal without white space. Returns `None` if one of the values is not an
/// array. Arrays of more than [`WORDS_MAX`] elements that differ have one part each.
///
/// # Example
///
/// ```
/// use tidemark_core::rules::comparison::{DiffKind, elements};
///
/// let json = |text: &'static str| serde_json::from_str(text).unwrap();
/// let parts = elements(json("[1, {\"a\": 2}]"), json("[{\"a\":2},1.0]")).unwrap();
/// let parts: Vec<_> = parts.iter().map(|part| (part.kind, part.text)).collect();
/// assert_eq!(
///     parts,
///     [(DiffKind::Removed, "1"), (DiffKind::Equal, "{\"a\": 2}"), (DiffKind::Added, "1.0")]
/// );
/// ```
pub fn elements<'a>(old: &'a RawValue, new: &'a RawValue) -> Option<Vec<DiffPart<'a>>> {
    let (old_elements, new_elements) = (read_array(old)?, read_array(new)?);
    if old_elements.len().max(new_elements.len()) > WORDS_MAX {
        return Some(whole(old.get(), new.get()));
    }

    let compacted = |elements: &[&'a RawValue]| -> Vec<Cow<'a, str>> {
        elements
            .iter()
            .map(|element| compact(element.get()))
            .collect()
    };
    let steps = steps(
        compacted(&old_elements).into_iter(),
        compacted(&new_elements).into_iter(),
    );

    let part = |(kind, index): (DiffKind, usize)| {
        let elements = match kind {
            DiffKind::Added => &new_elements,
            DiffKind::Equal | DiffKind::Removed => &old_elements,
        };
        let text = elements.get(index)?.get();
        Some(DiffPart { kind, text })
    };
    Some(steps.into_iter().filter_map(part).collect())
}

/// Returns both texts as one part each, or as one equal part.
fn whole<'a>(old: &'a str, new: &'a str) -> Vec<DiffPart<'a>> {
    let parts = if old == new {
        vec![(DiffKind::Equal, old)]
    } else {
        vec![(DiffKind::Removed, old), (DiffKind::Added, new)]
    };
    parts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(kind, text)| DiffPart { kind, text })
        .collect()
}

/// Returns each token with its kind and its index: in the new tokens if it is added, otherwise in
/// the old ones.
fn steps<T: Default + Eq + Hash>(
    old: impl Iterator<Item = T>,
    new: impl Iterator<Item = T>,
) -> Vec<(DiffKind, usize)> {
    let mut input = InternedInput::default();
    input.update_before(old);
    input.update_after(new);
    let diff = Diff::compute(Algorithm::Myers, &input);

    let (olds, news) = (0..input.before.len(), 0..input.after.len());
    let mut removed = olds
        .map(|index| (diff.is_removed(index as u32), index))
        .peekable();
    let mut added = news
        .map(|index| (diff.is_added(index as u32), index))
        .peekable();
    let mut steps = Vec::with_capacity(input.before.len().max(input.after.len()));

    loop {
        if let Some((_, index)) = removed.next_if(|(is_removed, _)| *is_removed) {
            steps.push((DiffKind::Removed, index));
        } else if let Some((_, index)) = added.next_if(|(is_added, _)| *is_added) {
            steps.push((DiffKind::Added, index));
        } else if let Some((_, index)) = removed.next() {
            added.next();
            steps.push((DiffKind::Equal, index));
        } else {
            return steps;
        }
    }
}

/// Splits a text into words and the white space between them.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_space = first.is_whitespace();
        let bytes = rest
            .find(|letter: char| letter.is_whitespace() != is_space)
            .unwrap_or(rest.len());
        words.push(take(&mut rest, bytes));
    }
    words
}

/// Cuts the first bytes from a text.
fn take<'a>(rest: &mut &'a str, bytes: usize) -> &'a str {
    let (taken, others) = rest.split_at_checked(bytes).unwrap_or((rest, ""));
    *rest = others;
    taken
}

fn read_array(value: &RawValue) -> Option<Vec<&RawValue>> {
    if !value.get().starts_with('[') {
        return None;
    }
    work::parsed(value.get().len());
    serde_json::from_str(value.get()).ok()
}
