//! The order of the texts of positions, and texts that are no positions.

use super::*;

#[test]
fn text_order_is_log_order() {
    let at = |epoch, sequence, late| Position {
        epoch,
        sequence: Sequence::parse(sequence).expect("digits"),
        late,
    };

    let positions = [
        Position::START,
        at(1, "9", 0),
        at(1, "10", 0),
        at(1, "10", 2),
        at(1, "10", 11),
        at(2, "3", 0),
    ];

    let texts: Vec<String> = positions.iter().map(ToString::to_string).collect();
    assert!(positions.is_sorted() && texts.is_sorted());
    assert!(
        texts
            .iter()
            .zip(positions)
            .all(|(text, position)| text.parse() == Ok(position))
    );
}

#[test]
fn malformed_positions_are_rejected() {
    let zeros = "0".repeat(SEQUENCE_DIGITS);
    let position = |epoch: &str, late: &str| format!("{epoch}-{zeros}-{late}");
    assert!(
        position("0000000001", "0000000002")
            .parse::<Position>()
            .is_ok()
    );

    let texts = ["", "1-2-3", "0000000001-0-0000000000"].map(ToOwned::to_owned);
    let numbers = [
        "000000000x",
        "+000000001",
        "4294967296",
        "00000000001",
        "000000001",
    ];

    for text in texts.into_iter().chain(
        numbers
            .iter()
            .flat_map(|it| [position(it, "0000000000"), position("0000000000", it)]),
    ) {
        assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
    }

    assert_eq!(Sequence::parse(""), None);
    assert_eq!(Sequence::parse(&"1".repeat(41)), None);
    assert_eq!(Sequence::parse("-1"), None);
}
