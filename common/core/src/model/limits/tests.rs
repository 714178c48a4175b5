//! The escaped length of a text is that of its JSON string.

#[test]
fn escaped_bytes_match_json_string() {
    for text in [
        "",
        "plain",
        "a\"b\\c\n\u{1}é",
        "{\"a\":[1,\"x\\n\"]}",
        "\u{8}\u{c}\t\r\n\u{1f}\u{0}\u{7f}",
    ] {
        let quoted = serde_json::to_string(text).expect("a string serializes");
        assert_eq!(super::escaped_bytes(text) + 2, quoted.len());
    }
}
