//! Accepted and invalid entries of the list, and the comparison of origins.

use super::*;

#[test]
fn origins_are_compared_exactly() {
    let allowed = AllowedOrigins::parse(
        "https://app.example, http://[2001:db8::1]:8080,capacitor://localhost",
    )
    .unwrap();

    for origin in [
        "https://app.example",
        "http://[2001:db8::1]:8080",
        "capacitor://localhost",
    ] {
        assert!(allowed.allows(origin), "{origin}");
    }

    for origin in [
        "",
        "null",
        "*",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "https://evilapp.example",
        "https://APP.example",
        "https://app.example/",
        "https://app.example,https://evil.example",
        "capacitor://localhost:1",
    ] {
        assert!(!allowed.allows(origin), "{origin}");
    }
}

#[test]
fn entries_are_normalized_like_browsers_do() {
    let allowed = AllowedOrigins::parse("HTTPS://App.Example:443/,http://a.example:80").unwrap();
    assert!(allowed.allows("https://app.example") && allowed.allows("http://a.example"));
}

#[test]
fn loopback_hosts_may_allow_any_port() {
    let allowed = AllowedOrigins::parse("http://localhost:*,http://[::1]:*").unwrap();

    for origin in [
        "http://localhost",
        "http://localhost:3000",
        "http://localhost:65535",
        "http://[::1]:5173",
    ] {
        assert!(allowed.allows(origin), "{origin}");
    }

    for origin in [
        "https://localhost:3000",
        "http://localhost:",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:03000",
        "http://localhost:3000/",
        "http://localhost.evil.example",
        "http://localhost:3000@evil.example",
        "http://127.0.0.1:3000",
    ] {
        assert!(!allowed.allows(origin), "{origin}");
    }
}

#[test]
fn empty_list_allows_no_origin() {
    for list in ["", " ", ",", " , "] {
        let allowed = AllowedOrigins::parse(list).unwrap();
        assert!(
            allowed.is_empty() && !allowed.allows("") && !allowed.allows("null"),
            "{list:?}"
        );
    }
}

#[test]
fn invalid_entry_is_named_in_error() {
    for entry in [
        "*",
        "null",
        "app.example",
        "https://",
        "https://*",
        "https://*.example",
        "https://app.example:*",
        "https://app.example/path",
        "https://user@app.example",
        "https://a b",
        "https://app.example:99999",
        "https://app.example:",
        "://app.example",
        "1ttps://app.example",
        "http://[::1",
    ] {
        assert_eq!(
            AllowedOrigins::parse(&format!("https://ok.example,{entry}")),
            Err(OriginError(entry.to_owned()))
        );
    }
}
