//! Keys of uploads: `uploads/<tenant>/<user>/<unique><mac>.<bytes>.<type>[.<extension>]`. A key is
//! a safe file path and needs no escaping in a URL. No name that a client or an identity provider
//! chooses can lead out of the user's own folder.
//!
//! The MAC covers the rest of the key, so the server recognizes its own keys without a lookup. Keys
//! of the old form have no MAC (`<unique>` is 32 hexadecimal digits). They are still parsed,
//! because devices and resources hold them.

use std::fmt;

use uuid::Uuid;

use crate::{
    model::{
        json,
        limits::{
            MEDIA_EXTENSION_CHARS_MAX, MEDIA_NAME_CHARS_MAX, MEDIA_OLD_EXTENSION_CHARS_MAX,
            MEDIA_OLD_TYPE_CHARS_MAX, MEDIA_TYPE_CHARS_MAX,
        },
    },
    rules::media::{Keyring, essence, extension_of, keyring::MAC_BYTES},
};

/// Prefix of every upload that a resource names. The IAM policies of the functions contain it too.
const PREFIX: &str = "uploads/";
/// Prefix under which every upload arrives. The IAM policies and the bucket's lifecycle rule
/// contain it too.
const ARRIVAL_PREFIX: &str = "incoming/";
/// Bytes of the hash that replaces a name.
const NAME_HASH_BYTES: usize = 16;
/// Bytes of the hash that replaces a content type. A deployment allows few types, so few bytes
/// suffice to distinguish them.
const TYPE_HASH_BYTES: usize = 8;
/// The digits of 128-bit numbers in keys. Letters and digits need no escaping anywhere.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits of a 128-bit number in base 62.
const NUMBER_DIGITS: usize = 22;

/// The key of an upload, with the size and type for which its URL was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaKey {
    tenant: String,
    user: String,
    unique: Uuid,
    /// The MAC; keys of the old form have none.
    mac: Option<[u8; MAC_BYTES]>,
    content_length: u64,
    content_type: String,
    extension: Option<String>,
}

impl MediaKey {
    /// Returns the key of an upload by this user, authenticated with the current secret of
    /// `keyring`. `unique` must be unique and unpredictable. The extension follows from the content
    /// type.
    pub fn new(
        tenant: &str,
        user: &str,
        unique: Uuid,
        content_length: u64,
        content_type: &str,
        keyring: &Keyring,
    ) -> Self {
        let key = Self {
            tenant: name_word(tenant),
            user: name_word(user),
            unique,
            mac: None,
            content_length,
            content_type: type_word(content_type, MEDIA_TYPE_CHARS_MAX),
            extension: extension_of(content_type).map(str::to_owned),
        };

        let mac = keyring.authenticate(&key.authenticated_text());
        Self {
            mac: Some(mac),
            ..key
        }
    }

    /// Parses a key in the current or the old form. Returns `None` for text that presign never
    /// returned. Does not check whether the key is authentic: see
    /// [`is_authentic`](Self::is_authentic).
    ///
    /// # Example
    ///
    /// ```
    /// use tidemark_core::rules::media::{Keyring, MediaKey};
    /// use uuid::Uuid;
    ///
    /// let keyring = Keyring::new(&"secret".repeat(6), None).unwrap();
    /// let key = MediaKey::new("acme", "ana", Uuid::nil(), 9, "image/png", &keyring);
    /// assert_eq!(MediaKey::parse(&key.to_string()), Some(key.clone()));
    /// assert_eq!(MediaKey::parse("uploads/acme/ana/photo.png"), None);
    ///
    /// // The MAC authenticates the size, so a client cannot change it.
    /// let forged = MediaKey::parse(&key.to_string().replace(".9.", ".10.")).unwrap();
    /// assert!(key.is_authentic(&keyring) && !forged.is_authentic(&keyring));
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let [tenant, user, file] = parts(text.strip_prefix(PREFIX)?, '/')?;

        let (unique, rest) = file.split_once('.')?;
        let (content_length, rest) = rest.split_once('.')?;
        let (content_type, extension) = match rest.split_once('.') {
            Some((content_type, extension)) => (content_type, Some(extension)),
            None => (rest, None),
        };

        let (unique, mac) = match unique.split_at_checked(NUMBER_DIGITS) {
            Some((unique, mac)) if mac.len() == NUMBER_DIGITS => (
                Uuid::from_u128(number(unique)?),
                Some(number(mac)?.to_be_bytes()),
            ),
            _ => (Uuid::try_parse(unique).ok()?, None),
        };

        let (type_letters_max, extension_letters_max) = match mac {
            Some(_) => (MEDIA_TYPE_CHARS_MAX, MEDIA_EXTENSION_CHARS_MAX),
            None => (MEDIA_OLD_TYPE_CHARS_MAX, MEDIA_OLD_EXTENSION_CHARS_MAX),
        };

        let is_sound = is_name_word(tenant)
            && is_name_word(user)
            && is_word(content_type, type_letters_max, |byte| {
                is_type_letter(byte) || byte == b'~'
            })
            && extension.is_none_or(|extension| {
                is_word(extension, extension_letters_max, |byte| {
                    byte.is_ascii_alphanumeric()
                })
            });

        let key = Self {
            tenant: tenant.to_owned(),
            user: user.to_owned(),
            unique,
            mac,
            content_length: content_length.parse().ok()?,
            content_type: content_type.to_owned(),
            extension: extension.map(str::to_owned),
        };
        // A key has exactly one spelling: no leading zeros, and one form of the unique part.
        (is_sound && key.to_string() == text).then_some(key)
    }

    /// Returns whether a secret of `keyring` authenticates the key. Only presign of this deployment
    /// returns such keys.
    ///
    /// See the example of [`parse`](Self::parse).
    pub fn is_authentic(&self, keyring: &Keyring) -> bool {
        self.mac
            .is_some_and(|mac| keyring.verifies(&self.authenticated_text(), &mac))
    }

    /// Returns whether the key has the old form, which has no MAC.
    pub fn is_old(&self) -> bool {
        self.mac.is_none()
    }

    /// Returns the promised size in bytes.
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// Returns the object key to which the client uploads. A verified upload is then stored under
    /// its media key.
    pub fn arrival(&self) -> String {
        format!("{ARRIVAL_PREFIX}{}", self.path())
    }

    /// Returns whether the content type, without its parameters, is the promised one.
    pub fn is_of_type(&self, content_type: &str) -> bool {
        let letters_max = if self.is_old() {
            MEDIA_OLD_TYPE_CHARS_MAX
        } else {
            MEDIA_TYPE_CHARS_MAX
        };
        self.content_type == type_word(content_type, letters_max)
    }

    /// Returns whether the key was issued to this user.
    pub fn is_of(&self, tenant: &str, user: &str) -> bool {
        self.tenant == name_word(tenant) && self.user == name_word(user)
    }

    /// Returns the key without its prefix.
    fn path(&self) -> String {
        let unique = match self.mac {
            Some(mac) => format!(
                "{}{}",
                digits(self.unique.as_u128()),
                digits(u128::from_be_bytes(mac))
            ),
            None => self.unique.simple().to_string(),
        };
        self.path_with(&unique)
    }

    /// Returns all that the key states except the MAC. The text is unique for each key, because no
    /// part contains a separator.
    fn authenticated_text(&self) -> String {
        self.path_with(&digits(self.unique.as_u128()))
    }

    fn path_with(&self, unique: &str) -> String {
        let Self {
            tenant,
            user,
            content_length,
            content_type,
            extension,
            ..
        } = self;

        let extension = extension
            .as_ref()
            .map(|extension| format!(".{extension}"))
            .unwrap_or_default();
        format!("{tenant}/{user}/{unique}.{content_length}.{content_type}{extension}")
    }
}

impl fmt::Display for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.path())
    }
}

/// Returns the number in base 62, always with [`NUMBER_DIGITS`] digits.
fn digits(mut number: u128) -> String {
    let mut text = [DIGITS[0]; NUMBER_DIGITS];
    for place in text.iter_mut().rev() {
        *place = usize::try_from(number % 62)
            .ok()
            .and_then(|digit| DIGITS.get(digit))
            .copied()
            .unwrap_or(DIGITS[0]);
        number /= 62;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// Parses the output of [`digits`]. Returns `None` for other characters and for numbers over 128
/// bits.
fn number(text: &str) -> Option<u128> {
    text.bytes().try_fold(0_u128, |number, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        number
            .checked_mul(62)?
            .checked_add(u128::try_from(digit).ok()?)
    })
}

/// Returns the folder name of a tenant or user: the name itself if it is short and safe, else a
/// hash of it. No plain name begins with the `~` of a hash, so no two names share a folder.
fn name_word(name: &str) -> String {
    let is_plain = is_word(name, MEDIA_NAME_CHARS_MAX, is_name_letter) && has_other_than_dots(name);
    if is_plain {
        name.to_owned()
    } else {
        hashed(name, NAME_HASH_BYTES)
    }
}

/// Returns a content type as one word: `image/jpeg` becomes `image~jpeg`. A long type or one with
/// unusual characters becomes a hash.
fn type_word(content_type: &str, letters_max: usize) -> String {
    let essence = essence(content_type);
    let is_plain = essence.split('/').count() == 2
        && essence
            .split('/')
            .all(|half| is_word(half, letters_max, is_type_letter))
        && essence.len() <= letters_max;
    if is_plain {
        essence.replace('/', "~")
    } else {
        hashed(&essence, TYPE_HASH_BYTES)
    }
}

fn hashed(text: &str, bytes: usize) -> String {
    let digest = json::digest([text.as_bytes()]);
    digest
        .iter()
        .take(bytes)
        .fold("~".to_owned(), |word, byte| format!("{word}{byte:02x}"))
}

fn is_word(text: &str, letters_max: usize, fits: impl Fn(u8) -> bool) -> bool {
    (1..=letters_max).contains(&text.len()) && text.bytes().all(fits)
}

fn is_name_word(text: &str) -> bool {
    is_word(text, MEDIA_NAME_CHARS_MAX, |byte| {
        is_name_letter(byte) || byte == b'~'
    }) && has_other_than_dots(text)
}

fn is_name_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// `.` and `..` have a special meaning in a path.
fn has_other_than_dots(text: &str) -> bool {
    text.bytes().any(|byte| byte != b'.')
}

fn is_type_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Returns the parts of a text if there are exactly `N`.
fn parts<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    text.split(separator).collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests;
