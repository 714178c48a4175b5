//! The body of a push, as it comes over the wire: unpacked, read, taken in, decided and committed
//! to rows in memory, sent again by the same device, and sent by another user's.
#![no_main]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use chrono::{DateTime, Utc};
use libfuzzer_sys::{Corpus, fuzz_target};
use tidemark_core::{
    catalog::Catalog,
    channel::Scope,
    conflict::{ConflictStatus, ConflictWrite, ConflictSummary},
    gzip,
    json::{self, Json},
    limits::{BATCH_ITEMS_MAX, SENTENCE_LETTERS_MAX, SORT_KEY_BYTES_MAX, is_name},
    media::{MediaCheck, Keyring, Upload},
    principal::{Author, Principal},
    protocol::{
        Action,
        problem::{ProblemBody, read_body},
        push::{ItemCode, ItemResult, PushRequest, PushResponse, Status},
    },
    push::{
        response,
        decide::{Decision, Lookups, CurrentState, decide},
        intake::{self, CarriedState, Edit, Group, Item, Sender},
        media::{MediaReferences, Evidence, KeyRules},
        order,
        references::{self, EarlierCreates},
    },
    resource::{Resource, ResourceKey},
    token::Token,
    unique::UniqueKey,
};

/// Every policy, and every kind of field.
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
                problem.detail.chars().count() <= SENTENCE_LETTERS_MAX + 1,
                "what was sent is not sent back at any length"
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

fn check_request(push: &PushRequest, body: &[u8]) {
    assert!(is_name(&push.device_id) && push.batch_id.as_deref().is_none_or(is_name));
    assert!((1..=BATCH_ITEMS_MAX).contains(&push.items.len()));
    let text = std::str::from_utf8(body).expect("a body that reads is text");
    assert!(
        push.items.iter().all(|item| text.contains(item.get())),
        "items keep their text"
    );
    let token = response::sync_token(push.client_sync_token.as_deref());
    assert!(
        Token::decode(&token).is_ok(),
        "the answer's token is one to pull from"
    );
}

/// One answer an item, in their order, and all of it goes over the wire and back.
fn check_response(push: &PushRequest, mut results: Vec<ItemResult>) {
    assert!(
        results
            .iter()
            .map(|result| result.index)
            .eq(0..push.items.len()),
        "one answer an item"
    );
    for result in &results {
        assert_eq!(
            result.status == Status::Ok,
            result.code.is_none() && result.error.is_none()
        );
        assert_eq!(result.status == Status::Error, result.retryable.is_some());
        assert_eq!(
            result.status == Status::Conflict,
            result.conflict_id.is_some() && result.code.is_some()
        );
        assert!(
            result
                .error
                .iter()
                .all(|error| error.chars().count() <= SENTENCE_LETTERS_MAX + 1)
        );
        assert!(result.server_id.as_deref().is_none_or(is_name));
    }
    response::fit(&mut results);
    let (batch_id, server_sync_token) = ("batch-1".into(), response::sync_token(None));
    let response = PushResponse {
        batch_id,
        processed_at: DateTime::UNIX_EPOCH,
        server_sync_token,
        results,
    };
    let text = serde_json::to_string(&response).expect("answers serialise");
    let read: PushResponse = serde_json::from_str(&text).expect("answers read back");
    assert_eq!(read.results.len(), response.results.len());
}

/// A batch that is sent again at once is applied once: what was applied is answered so again, and
/// nothing grows.
fn check_repeat(
    first: &[ItemResult],
    again: &[ItemResult],
    before: &HashMap<ResourceKey, u64>,
    world: &World,
) {
    for (first, again) in first.iter().zip(again) {
        if first.status == Status::Ok {
            let told = |it: &ItemResult| (it.status, it.server_id.clone());
            assert_eq!(
                told(again),
                told(first),
                "what was applied is answered so again"
            );
        }
    }
    // What failed, or met a unique value that was freed since, may be applied now.
    if first.iter().all(|result| result.status == Status::Ok) {
        assert_eq!(world.versions(), *before, "a batch is applied once");
    }
    world.check_grown(before);
}

/// What is stored.
#[derive(Default)]
struct World {
    rows: HashMap<ResourceKey, Resource>,
    holders: HashMap<UniqueKey, ResourceKey>,
    /// By author and resource.
    conflicts: HashMap<(String, ResourceKey), Vec<ConflictSummary>>,
}

impl World {
    fn versions(&self) -> HashMap<ResourceKey, u64> {
        self.rows
            .iter()
            .map(|(key, row)| (key.clone(), row.server_version))
            .collect()
    }

    fn check_grown(&self, before: &HashMap<ResourceKey, u64>) {
        let versions = self.versions();
        assert!(
            before
                .iter()
                .all(|(key, version)| versions.get(key) >= Some(version)),
            "no row goes back or away"
        );
    }

    /// A push, from the items to the rows: resource by resource, in the order that references ask
    /// for.
    fn push(&mut self, push: &PushRequest, principal: &Principal, second: i64) -> Vec<ItemResult> {
        let author = Author::device(&principal.user, &push.device_id);
        let device_id = &push.device_id;
        let sender = Sender {
            principal,
            device_id,
            author: &author,
            catalog: &CATALOG,
            is_replay: false,
        };
        let now_at = DateTime::from_timestamp(second, 0).expect("in range");
        let intake = intake::read(&push.items, sender);
        check_intake(&push.items, &intake, sender);
        let earlier = self.earlier_creates(&intake.groups, &author);
        let media = verified(&intake.groups, sender);
        let mut results: BTreeMap<usize, ItemResult> = intake
            .rejected
            .into_iter()
            .map(|it| (it.index, it))
            .collect();
        let ids: HashMap<usize, String> = intake
            .groups
            .iter()
            .flat_map(|group| group.indexes().map(|index| (index, group.key.id.clone())))
            .collect();
        let (mut waiting, mut values) = (intake.groups, order::Values::default());
        while !waiting.is_empty() {
            let (mut ready, mut rest): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|group| references::is_ready(group, &results));
            if ready.is_empty() {
                ready.push(rest.remove(0));
            }
            let replace = |group| {
                references::replace(group, &results, &earlier, |index| ids.get(&index).cloned())
            };
            let ready = ready.into_iter().map(replace).collect();
            let (now, mut later) = order::split(ready, &rest, &self.rows, &mut values, sender);
            assert!(!now.is_empty(), "something is always decided");
            for mut group in now {
                let (decided, undecided, carried) = self.settle(&mut group, &media, sender, now_at);
                results.extend(decided.into_iter().map(|result| (result.index, result)));
                if !undecided.is_empty() {
                    later.push(Group {
                        key: group.key.clone(),
                        items: undecided,
                        carried: CarriedState::default(),
                    });
                    later = order::join(later);
                }
                if let Some(part) = later.iter_mut().find(|part| part.key == group.key) {
                    part.carried = carried;
                }
            }
            rest.extend(later);
            waiting = order::join(rest);
        }
        results.into_values().collect()
    }

    /// Decides a group, or its first items, commits them, and decides them again; gives the items
    /// that are left, too.
    fn settle(
        &mut self,
        group: &mut Group,
        media: &Evidence,
        sender: Sender<'_>,
        now: DateTime<Utc>,
    ) -> (Vec<ItemResult>, Vec<Item>, CarriedState) {
        // A try shows which of the values that it claims are held.
        let mut holders = HashMap::new();
        let decision = loop {
            let decision = self.decide(group, &holders, media, sender, now);
            let held = |key: &UniqueKey| {
                self.holders
                    .get(key)
                    .filter(|holder| **holder != group.key)
                    .map(|it| (key.clone(), it.clone()))
            };
            let shown: HashMap<_, _> = decision.unique.touched().filter_map(held).collect();
            if shown.is_empty() {
                break decision;
            }
            assert!(
                shown.keys().all(|key| !holders.contains_key(key)),
                "what is known to be held is not touched"
            );
            holders.extend(shown);
        };
        let (results, carried) = (decision.results.clone(), decision.carried.clone());
        assert!(!results.is_empty(), "something is decided");
        let undecided = group.items.split_off(results.len());
        self.commit(group, decision, sender);
        let again = self.decide(group, &holders, media, sender, now);
        assert!(
            again.write.is_none() && again.unique.is_empty(),
            "decided against its own outcome, it changes nothing"
        );
        assert!(
            again.conflicts.is_empty() && again.ruled.is_none(),
            "and touches no conflict"
        );
        // A conflict names the row as it is now, and later items of the batch may have changed it.
        let version = |it: &ItemResult| it.server_version.filter(|_| it.status != Status::Conflict);
        let told = |it: &ItemResult| {
            (
                it.index,
                it.status,
                it.server_id.clone(),
                version(it),
                it.conflict_id.clone(),
                it.code,
            )
        };
        // A later item of the batch may have done what one in a conflict wanted: then that one
        // changes nothing any more.
        let is_done_since = |again: &ItemResult, first: &ItemResult| {
            first.status == Status::Conflict && again.status == Status::Ok
        };
        assert!(
            again
                .results
                .iter()
                .zip(&results)
                .all(|(again, first)| told(again) == told(first) || is_done_since(again, first)),
            "and answers the same: {:?} {results:?}",
            again.results
        );
        (results, undecided, carried)
    }

    /// What the device's earlier batches made of the creates that `groups` may refer to.
    fn earlier_creates(&self, groups: &[Group], author: &Author) -> EarlierCreates {
        let mut earlier = EarlierCreates::default();
        for key in references::to_earlier_batches(groups).flat_map(|reference| &reference.earlier) {
            let standing = self
                .conflicts
                .get(&(author.as_str().to_owned(), key.clone()));
            let create = standing
                .into_iter()
                .flatten()
                .find(|conflict| conflict.opened_by_create);
            if self.rows.contains_key(key) {
                earlier.made.insert(key.clone());
            } else if let Some(create) = create {
                earlier
                    .rejected
                    .insert(key.clone(), create.status == ConflictStatus::Open);
            }
        }
        earlier
    }

    fn decide(
        &self,
        group: &Group,
        holders: &HashMap<UniqueKey, ResourceKey>,
        media: &Evidence,
        sender: Sender<'_>,
        now: DateTime<Utc>,
    ) -> Decision {
        let found = Lookups { holders, media };
        let resource = self.rows.get(&group.key).cloned();
        let own = (sender.author.as_str().to_owned(), group.key.clone());
        let standing = self.conflicts.get(&own).cloned().unwrap_or_default();
        // As in the product: a device's conflicts are read when an edit conflicts, or its create
        // was refused before.
        let is_rejected = !standing.is_empty()
            && group
                .items
                .iter()
                .any(|item| matches!(item, Item::Edit(edit) if self.is_rejected(&own, edit)));
        let without = CurrentState {
            resource: resource.clone(),
            conflicts: None,
        };
        if !is_rejected && let Ok(decision) = decide(group, &without, found, sender, now) {
            return decision;
        }
        let stored = CurrentState {
            resource,
            conflicts: Some(standing),
        };
        decide(group, &stored, found, sender, now).expect("the conflicts were read")
    }

    fn is_rejected(&self, own: &(String, ResourceKey), edit: &Edit) -> bool {
        self.conflicts
            .get(own)
            .is_some_and(|standing| standing.iter().any(|conflict| conflict.holds(edit.id)))
    }

    fn commit(&mut self, group: &Group, decision: Decision, sender: Sender<'_>) {
        if let Some(write) = decision.write {
            let before = self.rows.get(&group.key).map(|row| row.server_version);
            assert_eq!(write.expected_version, before);
            let edits = group.items.len() as u64;
            let version = write.resource.server_version;
            assert!(
                version > before.unwrap_or(0) && version <= before.unwrap_or(0) + edits,
                "one version an edit"
            );
            let payload = &write.resource.payload;
            assert!(
                json::fields(payload).is_some() && json::canonical(payload).is_ok(),
                "what is stored is sound: {payload}"
            );
            self.rows.insert(group.key.clone(), write.resource);
        }
        for key in decision.unique.frees {
            assert_eq!(
                self.holders.remove(&key).as_ref(),
                Some(&group.key),
                "only what it holds is freed"
            );
        }
        for key in decision.unique.claims {
            assert!(
                self.holders.insert(key, group.key.clone()).is_none(),
                "a value has one holder"
            );
        }
        for write in decision
            .conflicts
            .into_iter()
            .chain(decision.ruled.map(|ruled| ruled.conflict))
        {
            self.store_conflict(group, write, sender);
        }
    }

    fn store_conflict(&mut self, group: &Group, write: ConflictWrite, sender: Sender<'_>) {
        assert_eq!(write.resource, group.key);
        assert!(!write.edits.is_empty());
        let standing = self
            .conflicts
            .entry((sender.author.as_str().to_owned(), group.key.clone()))
            .or_default();
        let server_version = write.server.map_or(0, |server| server.server_version);
        let at = standing
            .iter()
            .position(|conflict| conflict.id == write.id)
            .unwrap_or_else(|| {
                let (id, status) = (write.id.clone(), ConflictStatus::Open);
                let (edits, code) = (Vec::new(), write.code);
                let opened_by_create = write
                    .edits
                    .first()
                    .is_some_and(|edit| edit.action == Action::Create);
                standing.push(ConflictSummary {
                    id,
                    slot: write.slot,
                    status,
                    resolution: None,
                    server_version,
                    edits,
                    opened_by_create,
                    code,
                });
                standing.len() - 1
            });
        let conflict = &mut standing[at];
        assert_eq!(
            conflict.status,
            ConflictStatus::Open,
            "nothing joins what is decided"
        );
        assert_eq!(
            conflict.edits.len(),
            write.expected_edits,
            "no edit of a conflict is lost"
        );
        conflict.server_version = server_version;
        for edit in write.edits {
            assert!(
                !conflict.holds(edit.id),
                "an edit stands in a conflict once"
            );
            conflict.edits.push(edit.id);
        }
        if let Some(outcome) = write.outcome {
            (conflict.status, conflict.resolution) =
                (ConflictStatus::Resolved, Some(outcome.resolution));
        }
    }
}

/// Every upload that the items name is there.
fn verified(groups: &[Group], sender: Sender<'_>) -> Evidence {
    let upload = |key: String| {
        let upload = Upload {
            key: key.clone(),
            content_length: 1,
            content_type: "image/jpeg".into(),
        };
        (key, MediaCheck::Verified(upload))
    };
    let rules = KeyRules {
        keyring: &KEYRING,
        accepts_old: true,
    };
    let (keys, evidence) =
        MediaReferences::of(groups, &HashMap::new(), sender, rules, |_| true).to_look_up(HashSet::new());
    evidence.with(keys.into_iter().map(upload).collect())
}

/// Every item is in one group or refused, in its order; keys fit the tables, and edits keep what
/// was sent.
fn check_intake(items: &[Json], intake: &intake::Intake, sender: Sender<'_>) {
    let rejected = intake.rejected.iter().map(|response| response.index);
    let mut indexes: Vec<usize> = intake
        .groups
        .iter()
        .flat_map(Group::indexes)
        .chain(rejected)
        .collect();
    indexes.sort_unstable();
    assert!(
        indexes.into_iter().eq(0..items.len()),
        "each item is read once"
    );
    let keys: HashSet<&ResourceKey> = intake.groups.iter().map(|group| &group.key).collect();
    assert_eq!(keys.len(), intake.groups.len(), "a resource has one group");
    for group in &intake.groups {
        assert!(group.indexes().is_sorted() && !group.items.is_empty());
        let key = &group.key;
        let scope = Scope {
            tenant: sender.principal.tenant.clone(),
            channel: key.channel.clone(),
        };
        assert!(
            sender.principal.may_use(&key.channel)
                && sender.catalog.get(&key.resource_type).is_some()
                && is_name(&key.id)
        );
        assert!(
            key.sort_key().len() <= SORT_KEY_BYTES_MAX
                && scope.partition().len() <= 2 * SORT_KEY_BYTES_MAX
        );
        assert_eq!(
            ResourceKey::parse(&scope, &key.sort_key()).as_ref(),
            Some(key)
        );
        for item in &group.items {
            match item {
                Item::Edit(edit) => check_edit(edit, &items[edit.index]),
                Item::Rejected(response) => assert!(
                    response
                        .code
                        .is_some_and(|code| code != ItemCode::Unavailable)
                ),
            }
        }
    }
}

/// The payload of an edit is what was sent, field by field and to the letter, but for the `id` and
/// for values that a later one of the same name replaces.
fn check_edit(edit: &Edit, item: &Json) {
    let kept = json::fields(&edit.payload).expect("an object");
    let sent = json::fields(item)
        .expect("an object")
        .get("payload")
        .map(|payload| json::without_duplicates(payload));
    let sent = sent
        .and_then(|payload| json::fields(&payload))
        .unwrap_or_default();
    let texts = |(name, value): (&String, &Json)| (name.clone(), value.get().to_owned());
    assert!(
        kept.iter()
            .map(texts)
            .eq(sent.iter().filter(|(name, _)| *name != "id").map(texts)),
        "a payload keeps its text"
    );
    let canonical = json::canonical(&edit.payload).expect("sound");
    assert_eq!(json::digest([canonical.as_bytes()])[..16], edit.digest);
}
