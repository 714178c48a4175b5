//! Tests `decide` with random histories of devices that edit, push, retry, lose responses and pull.

mod invariants;
mod model;

use proptest::prelude::*;
use tidemark_core::model::{catalog::Policy, resource::Resource, result::Status};

use model::EditModel;

const DEVICES: usize = 3;
const FIELDS: usize = 3;

/// One step of a history.
#[derive(Debug, Clone)]
enum EditStep {
    /// A device edits its copy; the edit is queued.
    Edit {
        device: usize,
        field: usize,
        deletes: bool,
    },
    /// A device sends the first edits of its queue; `is_heard` if it receives the response.
    Push {
        device: usize,
        count: usize,
        is_heard: bool,
    },
    /// A device sends edits again that it has sent before, regardless of their results.
    Repeat {
        device: usize,
        first: usize,
        count: usize,
    },
    /// A device replaces its copy by the server's state.
    Pull { device: usize },
}

fn step() -> impl Strategy<Value = EditStep> {
    let device = 0..DEVICES;
    prop_oneof![
        5 => (device.clone(), 0..FIELDS, prop::bool::weighted(0.03))
            .prop_map(|(device, field, deletes)| EditStep::Edit { device, field, deletes }),
        4 => (device.clone(), 1..6_usize, prop::bool::weighted(0.7))
            .prop_map(|(device, count, is_heard)| EditStep::Push { device, count, is_heard }),
        3 => (device.clone(), any::<usize>(), 1..4_usize)
            .prop_map(|(device, first, count)| EditStep::Repeat { device, first, count }),
        2 => device.prop_map(|device| EditStep::Pull { device }),
    ]
}

/// Checks that a device which pulled everything can always edit: no state locks a resource
/// permanently.
fn assert_fresh_edit_is_accepted(model: &mut EditModel) -> Result<(), TestCaseError> {
    model.sends_base = true;
    model.devices[1].queue.clear();
    model.step(EditStep::Pull { device: 1 })?;
    model.step(EditStep::Edit {
        device: 1,
        field: 0,
        deletes: false,
    })?;

    let batch = model.devices[1].queue.clone();
    let result = model.push(1, &batch)?.remove(0);

    let deleted = model
        .stored
        .resource
        .as_ref()
        .is_some_and(|resource: &Resource| resource.deleted);

    prop_assert_eq!(
        result.status,
        if deleted { Status::Error } else { Status::Ok }
    );
    Ok(())
}

fn run(policy: Policy, sends_base: bool, steps: Vec<EditStep>) -> Result<(), TestCaseError> {
    let mut model = EditModel::new(policy, sends_base);
    for step in steps {
        model.step(step)?;
    }
    assert_fresh_edit_is_accepted(&mut model)
}

fn steps() -> impl Strategy<Value = Vec<EditStep>> {
    proptest::collection::vec(step(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn decide_applies_once_and_loses_nothing(steps in steps()) {
        run(Policy::Manual, true, steps)?;
    }

    #[test]
    fn decide_applies_once_without_base_versions(steps in steps()) {
        run(Policy::Manual, false, steps)?;
    }

    #[test]
    fn field_merge_applies_edits_once(steps in steps(), sends_base in any::<bool>()) {
        run(Policy::FieldMerge, sends_base, steps)?;
    }

    #[test]
    fn client_wins_applies_edits_once(steps in steps(), sends_base in any::<bool>()) {
        run(Policy::ClientWins, sends_base, steps)?;
    }

    #[test]
    fn server_wins_drops_and_stores_edits(steps in steps(), sends_base in any::<bool>()) {
        run(Policy::ServerWins, sends_base, steps)?;
    }
}
