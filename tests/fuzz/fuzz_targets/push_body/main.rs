//! Fuzzes the body of a push as received: decompresses and parses it, decides it and commits it to
//! rows in memory, then repeats it from the same device and sends it from another user's device.
#![no_main]

mod requests;
mod results;
mod world;

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use tidemark_core::{
    model::{catalog::Catalog, limits::SENTENCE_CHARS_MAX, principal::Principal},
    rules::media::Keyring,
    wire::{
        gzip,
        problem::{ProblemBody, read_body},
        push::PushRequest,
    },
};

use requests::check_request;
use results::{check_repeat, check_response};
use world::World;

/// A catalog with every policy and every kind of field.
static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let text = "
        [submission]
        channel = 'user'
        id_prefix = 'sub'
        required = ['form_id']
        media = ['media']
        [meter]
        channel = 'tenant'
        id_prefix = 'm'
        unique = ['code']
        [task]
        channel = 'group'
        id_prefix = 'task'
        references = { meter_id = 'meter', task_id = 'task' }
        policy = 'field_merge'
        [note]
        channel = 'tenant'
        id_prefix = 'n'
        policy = 'client_wins'
        unique = ['code']
        [route]
        channel = 'tenant'
        id_prefix = 'r'
        policy = 'server_wins'";
    Catalog::parse(text).expect("catalog")
});

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    Keyring::new("the secret of the fuzzer, which is long enough", None).expect("long enough")
});

fuzz_target!(|data: &[u8]| -> Corpus {
    let unpacked = if data.starts_with(&[0x1f, 0x8b]) {
        gzip::gunzip(data, 1 << 16)
    } else {
        Ok(data.to_vec())
    };
    let Ok(body) = unpacked else {
        return Corpus::Reject;
    };

    let push: PushRequest = match read_body(&body) {
        Ok(push) => push,
        Err(problem) => {
            assert!((400..500).contains(&problem.code.status()));
            assert!(
                problem.detail.chars().count() <= SENTENCE_CHARS_MAX + 1,
                "the detail quotes only a bounded part of the request"
            );
            let document = serde_json::to_string(&ProblemBody::new(&problem, "r-1"));
            assert!(document.is_ok());
            return Corpus::Keep;
        }
    };

    check_request(&push, &body);

    let (ana, ben) = (user("ana", "g"), user("ben", "g"));
    let mut world = World::default();
    let first = world.push(&push, &ana, 1);
    check_response(&push, first.clone());
    let before = world.versions();
    let again = world.push(&push, &ana, 2);
    check_repeat(&first, &again, &before, &world);

    world.push(&push, &ben, 3);
    let before = world.versions();
    let again = world.push(&push, &ben, 4);
    assert_eq!(again.len(), push.items.len());
    world.check_grown(&before);
    Corpus::Keep
});

fn user(name: &str, group: &str) -> Principal {
    Principal {
        tenant: "acme".into(),
        user: name.into(),
        roles: vec![],
        groups: vec![group.into()],
    }
}
