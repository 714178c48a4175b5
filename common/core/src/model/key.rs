//! Composite keys. Parts are escaped and joined by `#`, so that different parts never produce the
//! same key and a key splits into the original parts. The caller bounds parts by
//! [`NAME_BYTES_MAX`](crate::model::limits::NAME_BYTES_MAX).

/// Joins `parts` into one key; inside a part `%` is written as `%p` and `#` as `%h`.
pub fn join<const N: usize>(parts: [&str; N]) -> String {
    let mut key = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            key.push('#');
        }
        for letter in part.chars() {
            match letter {
                '%' => key.push_str("%p"),
                '#' => key.push_str("%h"),
                other => key.push(other),
            }
        }
    }
    key
}

/// Splits a key that [`join`] made of `N` parts; returns `None` for any other text.
pub fn split<const N: usize>(key: &str) -> Option<[String; N]> {
    let parts = key.split('#').map(unescape).collect::<Option<Vec<_>>>()?;
    parts.try_into().ok()
}

fn unescape(part: &str) -> Option<String> {
    let mut text = String::with_capacity(part.len());
    let mut letters = part.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '%' => match letters.next()? {
                'p' => '%',
                'h' => '#',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_parts_differ() {
        assert_ne!(join(["a#b", "c"]), join(["a", "b#c"]));
        assert_ne!(join(["%h", ""]), join(["#", ""]));
    }

    #[test]
    fn invalid_keys_do_not_split() {
        assert_eq!(split::<2>("a%x#b"), None);
        assert_eq!(split::<2>("a#b%"), None);
        assert_eq!(split::<2>("a"), None);
        assert_eq!(split::<2>("a#b#c"), None);
    }
}
