//! Keys of uploads: `uploads/<tenant>/<user>/<unique>.<bytes>.<type>[.<extension>]`. A key is safe as the path of a file and in a URL
//! without escaping, and nothing that a client or an identity provider chooses can lead it out of the user's own folder.

use std::fmt;

use uuid::Uuid;

use super::essence;
use crate::{
    json,
    limits::{MEDIA_EXTENSION_LETTERS_MAX, MEDIA_NAME_LETTERS_MAX, MEDIA_TYPE_LETTERS_MAX},
};

/// Where every upload that was named stands; the functions' policies name it too.
const PREFIX: &str = "uploads/";
/// Where every upload arrives; the policies and the bucket's lifecycle name it too.
const ARRIVAL_PREFIX: &str = "incoming/";
/// Bytes of the hash that stands for a name.
const NAME_HASH_BYTES: usize = 16;
/// Bytes of the hash that stands for a type. The types are the deployment's own, so few tell them apart.
const TYPE_HASH_BYTES: usize = 8;

/// The key of an upload, with the promise it was signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaKey {
    tenant: String,
    user: String,
    unique: Uuid,
    content_length: u64,
    content_type: String,
    extension: Option<String>,
}

impl MediaKey {
    /// The key of an upload by this user. `unique` makes it one that nobody else has or guesses; of `filename` only the extension is
    /// kept, where it is 1 to 10 letters and digits.
    pub fn new(tenant: &str, user: &str, unique: Uuid, content_length: u64, content_type: &str, filename: &str) -> Self {
        let extension = filename.rsplit_once('.').map(|(_, extension)| extension).filter(|text| is_extension(text));
        Self {
            tenant: name_word(tenant),
            user: name_word(user),
            unique,
            content_length,
            content_type: type_word(content_type),
            extension: extension.map(str::to_owned),
        }
    }

    /// Reads a key back; `None` for text that [`new`](Self::new) never makes.
    pub fn parse(text: &str) -> Option<Self> {
        let [tenant, user, file] = parts(text.strip_prefix(PREFIX)?, '/')?;
        let (unique, rest) = file.split_once('.')?;
        let (content_length, rest) = rest.split_once('.')?;
        let (content_type, extension) = match rest.split_once('.') {
            Some((content_type, extension)) => (content_type, Some(extension)),
            None => (rest, None),
        };
        let is_sound = is_name_word(tenant)
            && is_name_word(user)
            && is_word(content_type, MEDIA_TYPE_LETTERS_MAX, |byte| is_type_letter(byte) || byte == b'~')
            && extension.is_none_or(is_extension);
        let key = Self {
            tenant: tenant.to_owned(),
            user: user.to_owned(),
            unique: Uuid::try_parse(unique).ok()?,
            content_length: content_length.parse().ok()?,
            content_type: content_type.to_owned(),
            extension: extension.map(str::to_owned),
        };
        // One promise is written in one way: no leading zero, no other spelling of the unique part.
        (is_sound && key.to_string() == text).then_some(key)
    }

    /// The promised size in bytes.
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// Where the upload arrives; its key is where it is kept.
    pub fn arrival(&self) -> String {
        format!("{ARRIVAL_PREFIX}{}", self.path())
    }

    /// Whether this content type is the promised one; its parameters do not count.
    pub fn is_of_type(&self, content_type: &str) -> bool {
        self.content_type == type_word(content_type)
    }

    /// Whether the key was made for this user.
    pub fn is_of(&self, tenant: &str, user: &str) -> bool {
        self.tenant == name_word(tenant) && self.user == name_word(user)
    }

    /// What stands behind the prefix.
    fn path(&self) -> String {
        let Self { tenant, user, unique, content_length, content_type, extension } = self;
        let extension = extension.as_ref().map(|extension| format!(".{extension}")).unwrap_or_default();
        format!("{tenant}/{user}/{}.{content_length}.{content_type}{extension}", unique.simple())
    }
}

impl fmt::Display for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.path())
    }
}

/// A tenant or user as one folder's name: as it is where it is short and harmless, else a hash. No name begins with the `~` of a
/// hash, so no two names share a folder.
fn name_word(name: &str) -> String {
    let is_plain = is_word(name, MEDIA_NAME_LETTERS_MAX, is_name_letter) && has_other_than_dots(name);
    if is_plain { name.to_owned() } else { hashed(name, NAME_HASH_BYTES) }
}

/// A content type as one word: `image/jpeg` is `image~jpeg`, and one with rarer letters, or a long one, is a hash.
fn type_word(content_type: &str) -> String {
    let essence = essence(content_type);
    let is_plain = essence.split('/').count() == 2
        && essence.split('/').all(|half| is_word(half, MEDIA_TYPE_LETTERS_MAX, is_type_letter))
        && essence.len() <= MEDIA_TYPE_LETTERS_MAX;
    if is_plain { essence.replace('/', "~") } else { hashed(&essence, TYPE_HASH_BYTES) }
}

fn hashed(text: &str, bytes: usize) -> String {
    let digest = json::digest([text.as_bytes()]);
    digest.iter().take(bytes).fold("~".to_owned(), |word, byte| format!("{word}{byte:02x}"))
}

fn is_word(text: &str, letters_max: usize, fits: impl Fn(u8) -> bool) -> bool {
    (1..=letters_max).contains(&text.len()) && text.bytes().all(fits)
}

fn is_name_word(text: &str) -> bool {
    is_word(text, MEDIA_NAME_LETTERS_MAX, |byte| is_name_letter(byte) || byte == b'~') && has_other_than_dots(text)
}

fn is_name_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// `.` and `..` are places of their own in a path.
fn has_other_than_dots(text: &str) -> bool {
    text.bytes().any(|byte| byte != b'.')
}

fn is_type_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_extension(text: &str) -> bool {
    is_word(text, MEDIA_EXTENSION_LETTERS_MAX, |byte| byte.is_ascii_alphanumeric())
}

/// The parts of a text, if there are exactly `N`.
fn parts<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    text.split(separator).collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::MEDIA_KEY_BYTES_MAX;

    const ODD_NAMES: &[&str] = &[
        "ana",
        "Ana",
        "..",
        ".",
        "...",
        "a.b",
        "a/b",
        "a",
        "b",
        "/",
        "~",
        "~a",
        "#",
        "%2e%2e",
        "..%2f",
        "ä",
        "a b",
        " ",
        "\n",
        "\0",
        "a\\b",
        "auth0|5f7c",
        "0b2f6a52-3c1d-4a7e-9a55-1f7f2b0e6d15",
        "anna@example.com",
        "uploads/acme/ana",
    ];

    fn key(tenant: &str, user: &str, filename: &str) -> String {
        MediaKey::new(tenant, user, Uuid::from_u128(7), 17, "image/jpeg", filename).to_string()
    }

    fn is_safe(key: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
        key.starts_with("uploads/")
            && key.bytes().all(is_plain)
            && key.split('/').count() == 4
            && key.split('/').all(|part| !part.is_empty() && part.bytes().any(|byte| byte != b'.'))
    }

    #[test]
    fn a_key_says_whose_it_is_and_what_was_promised() {
        assert_eq!(key("acme", "ana", "photo.jpg"), "uploads/acme/ana/00000000000000000000000000000007.17.image~jpeg.jpg");
        assert_eq!(key("acme", "ana", "photo"), "uploads/acme/ana/00000000000000000000000000000007.17.image~jpeg");
    }

    #[test]
    fn odd_names_give_keys_that_are_safe_read_back_and_never_meet() {
        let mut keys = BTreeSet::new();
        for tenant in ODD_NAMES {
            for user in ODD_NAMES {
                let text = key(tenant, user, "photo.jpg");
                assert!(is_safe(&text), "{text}");
                let read = MediaKey::parse(&text).expect("a key reads back");
                assert!(read.is_of(tenant, user) && read.is_of_type("image/jpeg") && read.content_length() == 17, "{text}");
                assert!(keys.insert(text), "{tenant:?} {user:?}");
            }
        }
    }

    #[test]
    fn a_name_that_looks_like_the_hash_of_another_is_hashed_itself() {
        let hash = name_word("a/b");
        assert_ne!(name_word(&hash), hash);
    }

    #[test]
    fn a_filename_gives_its_extension_and_nothing_else() {
        let folder = "uploads/acme/ana/00000000000000000000000000000007.17.image~jpeg";
        for (filename, extension) in [
            ("photo.JPG", ".JPG"),
            ("archive.tar.gz", ".gz"),
            ("a.abcdefghij", ".abcdefghij"),
            ("a.abcdefghijk", ""),
            ("photo", ""),
            ("photo.", ""),
            ("../../bob/x.jpg", ".jpg"),
            ("x./../../bob", ""),
            ("x.j/pg", ""),
            ("x.j%2fpg", ""),
            ("x.jpé", ""),
            ("x.jpg\n", ""),
        ] {
            assert_eq!(key("acme", "ana", filename), format!("{folder}{extension}"), "{filename:?}");
        }
    }

    #[test]
    fn types_are_told_apart_whatever_their_letters() {
        let types =
            ["image/jpeg", "image/svg+xml", "application/vnd.ms-excel", "application/octet-stream", "a/b", "", "nonsense"];
        let words: BTreeSet<String> = types.iter().map(|it| type_word(it)).collect();
        assert_eq!(words.len(), types.len());
        for content_type in types {
            let text = MediaKey::new("acme", "ana", Uuid::nil(), 1, content_type, "x").to_string();
            assert!(is_safe(&text) && MediaKey::parse(&text).is_some_and(|key| key.is_of_type(content_type)), "{text}");
        }
    }

    #[test]
    fn the_longest_key_has_the_bytes_it_may_have() {
        let name = "n".repeat(MEDIA_NAME_LETTERS_MAX);
        let longest = MediaKey::new(&name, &name, Uuid::max(), 5 << 30, "application/octet-stream", "x.abcdefghij").to_string();
        assert_eq!(longest.len(), MEDIA_KEY_BYTES_MAX);
        let odd = "ä".repeat(128);
        assert!(MediaKey::new(&odd, &odd, Uuid::max(), 5 << 30, &odd, &odd).to_string().len() <= MEDIA_KEY_BYTES_MAX);
    }

    #[test]
    fn text_that_is_no_key_does_not_read() {
        let good = key("acme", "ana", "photo.jpg");
        assert!(MediaKey::parse(&good).is_some());
        let unique = "00000000000000000000000000000007";
        for text in [
            String::new(),
            good.replace("uploads/", ""),
            good.replace("uploads/", "/uploads/"),
            good.replace("acme", ".."),
            good.replace("acme", "a/b"),
            good.replace("acme", ""),
            good.replace("ana", "a%2fb"),
            good.replace(".17.", ".017."),
            good.replace(".17.", ".+17."),
            good.replace(".17.", ".-1."),
            good.replace(".17.", ".99999999999999999999."),
            good.replace(unique, "7"),
            good.replace(unique, "00000000-0000-0000-0000-000000000007"),
            good.replace(unique, &unique.replace('7', "A")),
            good.replace("image~jpeg", ""),
            good.replace("image~jpeg", "Image~jpeg"),
            good.replace(".jpg", ".j-g"),
            good.replace(".jpg", "."),
            format!("{good}.more"),
            format!("{good}/"),
            format!(" {good}"),
        ] {
            assert_eq!(MediaKey::parse(&text), None, "{text}");
        }
    }
}
