//! No request reads or changes another tenant's rows, or what its caller may not (§1, §2): every
//! route, asked by everyone who should not get through. [`ASKS`] says what each is told. It must
//! name every route there is, so a new one is a line there, or a failed test.

mod asks;

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use jsonwebtoken::{Algorithm, Header};
use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tidemark_core::routes::ROUTES;
use tidemark_tests::{ApiResponse, Device, Stack};

use crate::auth::{Key, good_claims};
pub(crate) use asks::{ASKS, Ask, IntruderKnowledge};
use asks::{Who, item};

/// Stands in what is Ana's own, and in what only admins read.
const OWN: &str = "the-secret-of-ana";
/// Stands in what the group north wrote since Ben left it.
const GROUP: &str = "the-secret-of-north";

/// A tenant with everything in it that a route could lead to.
pub(crate) async fn tenant(stack: &Stack) -> IntruderKnowledge {
    let device =
        |user, groups: &[&str]| Device::new(stack, stack.token("acme", user, &[], groups), "phone");
    let (mut ana, ben, mia) = (
        device("ana", &["north"]),
        device("ben", &["north"]),
        device("mia", &["north"]),
    );
    let admin = stack.token("acme", "root", &["admin"], &[]);
    let presigned =
        json!({"filename": "photo.jpg", "content_type": "image/jpeg", "content_length": 5});
    let presigned = stack
        .post("media/presign", &ana.token, &presigned)
        .await
        .ok();
    assert_eq!(stack.upload(&presigned, b"photo").await, 200);
    let photo = presigned["key"].as_str().expect("a key").to_owned();

    let meter = |action: &str, id: &str, version: u64, by: &str| {
        let mut meter = item("meter", action, "tenant", id, version);
        meter["payload"]["by"] = by.into();
        meter
    };
    let task = |action: &str, version: u64, title: &str| {
        let mut task = item("task", action, "group/north", "t-1", version);
        task["payload"]["by"] = title.into();
        task
    };
    mia.push(json!([
        meter("create", "m-1", 0, "mia"),
        meter("update", "m-1", 1, "mia again"),
        meter("create", "m-2", 0, "mia"),
        meter("update", "m-2", 1, "mia again"),
        task("create", 0, "mia"),
        task("update", 1, "mia again")
    ]))
    .await;
    let mut submission = item("submission", "create", "user/ana", "s-1", 0);
    submission["payload"] = json!({"id": "s-1", "form_id": "f", "data": OWN, "media": [photo]});
    let batch = json!([
        submission,
        meter("update", "m-1", 1, OWN),
        meter("update", "m-2", 1, OWN)
    ]);
    let batch = ana.push_batch("b", &batch).await.ok();
    let id = |result: &Value| {
        result["conflict_id"]
            .as_str()
            .unwrap_or_else(|| panic!("{result}"))
            .to_owned()
    };
    let (conflict, decided) = (id(&batch["results"][1]), id(&batch["results"][2]));
    let group_conflict = id(&ben.push_one(task("update", 1, "ben")).await);
    let decision = json!({"resolution": "accept_server", "note": OWN});
    stack
        .post(&format!("conflicts/{decided}/resolve"), &admin, &decision)
        .await
        .ok();
    stack.settle().await;
    ana.pull().await;
    let ack = json!({"ack_token": ana.since, "device_id": "phone", "app_version": OWN});
    stack.post("sync/ack", &ana.token, &ack).await.ok();
    // Ben is not of the group any more.
    assert_eq!(mia.push_one(task("update", 2, GROUP)).await["status"], "ok");
    stack.settle().await;
    let cursor = stack.get("audit?order=oldest", &admin).await.ok()["next_cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    let batch = batch["batch_id"].as_str().expect("an id").to_owned();
    IntruderKnowledge {
        conflict,
        group_conflict,
        decided,
        batch,
        token: ana.since,
        cursor,
        photo,
    }
}

async fn ask(
    stack: &Stack,
    ask: &Ask,
    known: &IntruderKnowledge,
    authorization: Option<&str>,
) -> ApiResponse {
    let (path, body) = (ask.about)(known);
    let mut headers = HeaderMap::from_iter([(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )]);
    authorization.map(|text| {
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(text).expect("a header"),
        )
    });
    let body = if ask.method == "GET" {
        String::new()
    } else {
        body.to_string()
    };
    stack
        .call(ask.method, &path, &headers, body.as_bytes())
        .await
}

/// The status, and the code of the problem or what became of each item.
fn told(response: &ApiResponse) -> String {
    let body = response.json();
    let results = body["results"]
        .as_array()
        .filter(|_| body.get("server_sync_token").is_some())
        .cloned()
        .unwrap_or_default();
    let words = results.iter().map(|result| {
        result
            .get("code")
            .filter(|_| result["status"] == "error")
            .unwrap_or(&result["status"])
    });
    let words = body
        .get("code")
        .filter(|_| response.status != 200)
        .into_iter()
        .chain(words)
        .filter_map(Value::as_str);
    words.fold(response.status.to_string(), |told, word| {
        format!("{told} {word}")
    })
}

/// Every row of every table: by table and key.
fn rows(stack: &Stack) -> BTreeMap<(String, String, String), Value> {
    let tables = stack.dynamodb("ListTables", &json!({}))["TableNames"]
        .as_array()
        .expect("tables")
        .clone();
    let tables = tables
        .iter()
        .map(|table| table.as_str().expect("a name").to_owned());
    tables
        .flat_map(|table| {
            let rows = stack.rows(&table).into_iter();
            rows.map(move |row| {
                let key = |part: &str| row[part]["S"].as_str().expect("a key").to_owned();
                ((table.clone(), key("pk"), key("sk")), row)
            })
        })
        .collect()
}

#[test]
fn the_matrix_names_every_route() {
    let asked: BTreeSet<_> = ASKS
        .iter()
        .map(|ask| (ask.method, format!("/api/v1/mobile/{}", ask.route)))
        .collect();
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.method, route.path.to_owned()))
        .collect();
    assert_eq!(asked, routes);
}

#[tokio::test]
async fn no_route_answers_or_writes_without_a_token_that_verifies() {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    let before = rows(&stack);
    // All of them would be an admin's of the tenant.
    let mut good = good_claims(&stack);
    good["sub"] = "root".into();
    good["roles"] = json!(["admin"]);
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        Key::development().sign(&claims)
    };
    let signed = Key::development().sign(&good);
    let altered = {
        let ana = Key::development().sign(&good_claims(&stack));
        let parts = |token: &str| -> Vec<String> { token.split('.').map(str::to_owned).collect() };
        format!(
            "{}.{}.{}",
            parts(&signed)[0],
            parts(&signed)[1],
            parts(&ana)[2]
        )
    };
    let other_key =
        Key::ed25519(b"some other key of thirty-two byt", "tidemark-development").sign(&good);
    let unsigned = Key::development().sign_under(
        &Header {
            alg: Algorithm::EdDSA,
            kid: None,
            ..Header::default()
        },
        &good,
    );
    let unsigned = format!("{}.", unsigned.rsplit_once('.').expect("a signature").0);
    let tokens = [
        ("no token", None),
        ("no bearer token", Some(format!("Basic {signed}"))),
        ("malformed", Some("Bearer nonsense".to_owned())),
        (
            "cut off",
            Some(format!("Bearer {}", &signed[..signed.len() - 1])),
        ),
        (
            "expired",
            Some(format!(
                "Bearer {}",
                with(
                    "exp",
                    (stack.now() - Duration::seconds(1)).timestamp().into()
                )
            )),
        ),
        (
            "wrong audience",
            Some(format!("Bearer {}", with("aud", "somebody else".into()))),
        ),
        (
            "wrong issuer",
            Some(format!(
                "Bearer {}",
                with("iss", "https://issuer.example/".into())
            )),
        ),
        ("another's signature", Some(format!("Bearer {altered}"))),
        ("another key", Some(format!("Bearer {other_key}"))),
        ("no signature", Some(format!("Bearer {unsigned}"))),
    ];
    for (what, token) in &tokens {
        for it in ASKS {
            let response = ask(&stack, it, &known, token.as_deref()).await;
            let place = format!("{what}: {} {}", it.method, it.route);
            assert_eq!(told(&response), "401 unauthenticated", "{place}");
            assert!(
                !response.text.contains(OWN)
                    && !response.text.contains(GROUP)
                    && !response.text.contains(&known.photo),
                "{place}"
            );
            assert!(rows(&stack) == before, "{place} changed a row");
        }
    }
    // And with the token that all of these are made from, each is let in.
    let mut statuses = BTreeSet::new();
    for it in ASKS {
        statuses.insert(
            ask(&stack, it, &known, Some(&format!("Bearer {signed}")))
                .await
                .status,
        );
    }
    assert!(
        !statuses.contains(&401) && statuses.contains(&200),
        "{statuses:?}"
    );
}

/// Somebody with a good token, of whom `expected` says what each ask is told. No answer may hold
/// what is `hidden`; of the rows that stood they may change those in the partitions that are their
/// `own`, and the rows they add are in partitions that begin as `begins` says.
async fn intrudes(
    token: fn(&Stack) -> String,
    expected: fn(&Ask) -> &'static str,
    hidden: &[&str],
    begins: &[&str],
    own: &[&str],
) {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    let before = rows(&stack);
    let token = format!("Bearer {}", token(&stack));
    for it in ASKS {
        let response = ask(&stack, it, &known, Some(&token)).await;
        let place = format!("{} {}: {}", it.method, (it.about)(&known).0, response.text);
        assert_eq!(told(&response), expected(it), "{place}");
        // What they ask with they are told again.
        let is_news = |secret: &&str| !(it.about)(&known).1.to_string().contains(secret);
        let mut secrets = hidden
            .iter()
            .copied()
            .chain([known.photo.as_str()])
            .filter(is_news);
        assert!(
            secrets.all(|secret| !response.text.contains(secret)),
            "{place}"
        );
        let after = rows(&stack);
        for (key, row) in &before {
            assert!(
                own.contains(&key.1.as_str()) || after.get(key) == Some(row),
                "{place}\nchanged {key:?}"
            );
        }
        for key in after.keys().filter(|key| !before.contains_key(key)) {
            assert!(
                begins.iter().any(|theirs| key.1.starts_with(theirs)),
                "{place}\nadded {key:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_admin_of_another_tenant_reaches_nothing_of_this_one() {
    let token = |stack: &Stack| stack.token("umbrella", "ana", &["admin"], &["north"]);
    intrudes(
        token,
        |ask| ask.other_tenant,
        &[OWN, GROUP],
        &["umbrella#", "umbrella"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn another_user_reaches_nothing_that_is_not_everybodys() {
    let token = |stack: &Stack| stack.token("acme", "eve", &["editor"], &[]);
    intrudes(
        token,
        |ask| ask.other_user,
        &[OWN, GROUP],
        &["acme#eve"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn whoever_left_a_group_reaches_nothing_of_it_any_more() {
    let token = |stack: &Stack| stack.token("acme", "ben", &["editor"], &[]);
    intrudes(
        token,
        |ask| ask.group_left,
        &[OWN, GROUP],
        &["acme#ben"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn a_member_who_is_no_admin_reaches_the_group_and_no_more() {
    let token = |stack: &Stack| stack.token("acme", "mia", &["editor"], &["north"]);
    // A task of the group, and the conflict that an edit of it ends in, are a member's to make.
    let own = ["acme#group/north"];
    intrudes(
        token,
        |ask| ask.not_admin,
        &[OWN],
        &["acme#mia", "acme#group/north", "acme"],
        &own,
    )
    .await;
}

#[tokio::test]
async fn whoever_may_is_told_what_the_others_are_not() {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    for it in ASKS {
        let response = asked_by_owner(&stack, it, &known).await;
        let (who, word) = it.owner;
        assert!(
            response.status == 200 && response.text.contains(word),
            "{} {} by {who:?}: {}",
            it.method,
            it.route,
            response.text
        );
    }
}

/// The request, by whoever may.
pub(crate) async fn asked_by_owner(
    stack: &Stack,
    it: &Ask,
    known: &IntruderKnowledge,
) -> ApiResponse {
    let (user, roles): (_, &[&str]) = match it.owner.0 {
        Who::Ana => ("ana", &[]),
        Who::Member => ("mia", &[]),
        Who::Admin => ("root", &["admin"]),
    };
    let token = format!("Bearer {}", stack.token("acme", user, roles, &["north"]));
    ask(stack, it, known, Some(&token)).await
}

#[tokio::test]
async fn a_direct_invocation_for_one_tenant_reaches_no_conflict_of_another() {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    let before = rows(&stack);
    for conflict in [&known.conflict, &known.group_conflict, &known.decided] {
        let decision = json!({"conflict_id": conflict, "tenant": "umbrella", "resolved_by": "ops", "resolution": "accept_server"});
        let response = stack.invoke("resolve", &decision).await;
        assert_eq!(
            (&response["status"], &response["code"]),
            (&json!(404), &json!("not_found")),
            "{response}"
        );
    }
    assert!(rows(&stack) == before);
}
