//! Which changes receipts match, and when receipts are dropped.

use super::*;
use crate::model::channel::Channel;

fn made(id: &str, server_version: u64) -> WrittenVersion {
    WrittenVersion::new(
        &ResourceKey {
            channel: Channel::Tenant,
            resource_type: "meter".into(),
            id: id.into(),
        },
        server_version,
    )
}

fn moment(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + 3600 * hours, 0).expect("in range")
}

#[test]
fn receipt_matches_one_version() {
    let mut receipts = Receipts::default();
    receipts.add(made("m", 2), moment(0));
    assert!(receipts.holds(made("m", 2)));
    assert!(!receipts.holds(made("m", 3)) && !receipts.holds(made("n", 2)));
}

#[test]
fn oldest_receipts_are_dropped_first() {
    let mut receipts = Receipts::default();
    (0..=RECEIPTS_MAX as u64).for_each(|version| receipts.add(made("m", version), moment(0)));

    assert_eq!(
        (
            receipts.0.len(),
            receipts.holds(made("m", 0)),
            receipts.holds(made("m", 1))
        ),
        (RECEIPTS_MAX, false, true)
    );

    receipts.add(made("m", 1), moment(1));
    receipts.add(made("m", 999), moment(1));
    assert!(
        receipts.holds(made("m", 1)) && !receipts.holds(made("m", 2)),
        "a repeated receipt becomes the newest"
    );
}

#[test]
fn passed_receipts_are_pruned() {
    let mut receipts = Receipts::default();
    [(1, 0), (2, 20), (3, 20)]
        .into_iter()
        .for_each(|(version, at)| receipts.add(made("m", version), moment(at)));

    receipts.prune(&[made("m", 2), made("n", 3)], moment(24));
    assert!(
        receipts.holds(made("m", 1))
            && !receipts.holds(made("m", 2))
            && receipts.holds(made("m", 3))
    );

    receipts.prune(&[], moment(25));
    assert!(!receipts.holds(made("m", 1)) && receipts.holds(made("m", 3)));
    receipts.prune(&[], DateTime::<Utc>::MIN_UTC);
    assert!(receipts.holds(made("m", 3)));
}

#[test]
fn excess_receipts_are_cut_on_decoding() {
    let many: Vec<_> = (0..1000).map(|version| (1, version, 0)).collect();
    let read = Receipts::from_numbers(many);
    assert_eq!(
        (read.0.len(), read.0.last().map(|receipt| receipt.1)),
        (RECEIPTS_MAX, Some(999))
    );
}
