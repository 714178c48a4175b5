//! Acknowledgements that arrive late, repeatedly, out of order or concurrently (§4.8): the position
//! of a channel only moves forward, to the maximum of all tokens.

use std::{collections::BTreeMap, sync::Arc};

use rstest::rstest;
use tidemark_core::model::{channel::Channel, token::Token};
use tidemark_tests::{Device, Stack, hooks::Gate, scenario::member_of_north};

use super::{ack, positions, pulled};

/// Removes from each position the time that follows the `@`.
fn without_times(positions: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    positions
        .iter()
        .filter_map(|(channel, position)| Some((channel.as_str(), position.split_once('@')?.0)))
        .collect()
}

/// Returns a token with the positions of `one` in the channels `of_one`, and those of `other` in
/// the rest.
fn mixed(one: &str, other: &str, of_one: &[Channel]) -> String {
    let (one, mut mixed) = (
        Token::decode(one).expect("a token"),
        Token::decode(other).expect("a token"),
    );
    mixed.channels.extend(
        one.channels
            .into_iter()
            .filter(|(channel, _)| of_one.contains(channel)),
    );
    mixed.encode()
}

/// Returns the tokens of three pulls, each after changes in some of the channels.
async fn three_pulls(stack: &Stack, device: &mut Device<'_>) -> [String; 3] {
    [
        pulled(stack, device, "a", &["tenant"]).await,
        pulled(stack, device, "b", &["tenant", "group/north"]).await,
        pulled(stack, device, "c", &["user/ana"]).await,
    ]
}

#[tokio::test]
async fn late_ack_moves_no_channel_back() {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    let [first, second, third] = three_pulls(&stack, &mut ana).await;

    ack(&ana, &stack, &first).await.ok();
    let after_first = positions(&stack);
    ack(&ana, &stack, &third).await.ok();
    let newest = positions(&stack);
    assert!(
        newest
            .iter()
            .all(|(channel, position)| *position > after_first[channel])
    );
    for late in [&second, &first, &third, &third] {
        ack(&ana, &stack, late).await.ok();
        assert_eq!(positions(&stack), newest);
    }

    // An ack that is older in one channel and newer in another moves only the latter.
    let fourth = pulled(&stack, &mut ana, "d", &["tenant", "group/north"]).await;
    ack(&ana, &stack, &mixed(&fourth, &first, &[Channel::Tenant]))
        .await
        .ok();
    let moved = positions(&stack);
    assert!(moved["tenant"] > newest["tenant"]);
    assert_eq!(
        (&moved["group/north"], &moved["user/ana"]),
        (&newest["group/north"], &newest["user/ana"])
    );

    // A token without a channel leaves the position of that channel unchanged.
    let without = Token {
        channels: Token::decode(&fourth)
            .expect("a token")
            .channels
            .into_iter()
            .take(1)
            .collect(),
    };
    ack(&ana, &stack, &without.encode()).await.ok();
    assert_eq!(positions(&stack), moved);
}

#[rstest]
#[case::forward([0, 1, 2, 3])]
#[case::backward([3, 2, 1, 0])]
#[case::mixed([1, 3, 0, 2])]
#[case::mixed_backward([2, 0, 3, 1])]
#[tokio::test]
async fn acks_in_any_order_reach_the_maximum(#[case] order: [usize; 4]) {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    let [first, second, third] = three_pulls(&stack, &mut ana).await;

    let tokens = [
        mixed(&third, &first, &[Channel::User("ana".into())]),
        mixed(&second, &first, &[Channel::Tenant]),
        mixed(&third, &second, &[Channel::Group("north".into())]),
        first,
    ];

    for token in order {
        ack(&ana, &stack, &tokens[token]).await.ok();
    }

    let held = positions(&stack);
    ack(&ana, &stack, &third).await.ok();
    assert_eq!(
        without_times(&held),
        without_times(&positions(&stack)),
        "together the tokens cover the third"
    );
}

#[tokio::test]
async fn ack_overtaken_in_flight_moves_nothing_back() {
    let gate = Arc::new(Gate::new(|call| call.operation == "UpdateItem"));
    let stack = Stack::new();
    let slow = Stack::over(stack.engine.clone(), gate.clone());
    let mut ana = member_of_north(&stack, "ana");
    let [first, second, third] = three_pulls(&stack, &mut ana).await;

    // The delayed token is ahead of the first in one channel and behind the third in all others.
    let delayed = mixed(&third, &first, &[Channel::User("ana".into())]);
    let others = async {
        gate.reached().await;
        for token in [&first, &second] {
            ack(&ana, &stack, token).await.ok();
        }
        gate.open();
    };

    let (response, ()) = tokio::join!(ack(&ana, &slow, &delayed), others);
    response.ok();
    let held = positions(&stack);

    ack(&ana, &stack, &third).await.ok();
    assert_eq!(
        without_times(&held),
        without_times(&positions(&stack)),
        "the second and the delayed token cover the third"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_acks_reach_the_maximum() {
    let stack = Stack::new();
    let mut ana = member_of_north(&stack, "ana");
    let mut tokens = Vec::new();
    for (number, channel) in [
        "tenant",
        "group/north",
        "user/ana",
        "tenant",
        "group/north",
        "user/ana",
    ]
    .into_iter()
    .enumerate()
    {
        tokens.push(pulled(&stack, &mut ana, &format!("r-{number}"), &[channel]).await);
    }

    let last = tokens[5].clone();
    let races = tokens
        .iter()
        .flat_map(|one| tokens.iter().map(move |other| (one, other)));
    let races: Vec<String> = races
        .map(|(one, other)| mixed(one, other, &[Channel::Tenant]))
        .collect();

    let responses =
        futures_util::future::join_all(races.iter().map(|token| ack(&ana, &stack, token))).await;
    assert!(responses.iter().all(|response| response.status == 200));

    let concurrent = positions(&stack);
    ack(&ana, &stack, &last).await.ok();
    assert_eq!(concurrent, positions(&stack));
}
