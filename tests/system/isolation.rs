//! Isolation of tenants and users (§1, §2): no request reads or changes rows of another tenant, or
//! rows for which its caller has no permission. Every route is called by every kind of caller
//! without permission. [`asks()`] lists the expected responses. It must contain every route, so
//! that a new route without an entry fails a test.

mod ask;
mod asks;
mod tenant;
mod unverified;

use std::collections::{BTreeMap, BTreeSet};

use lambda_http::http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tidemark_core::wire::routes::ROUTES;
use tidemark_tests::{ApiResponse, Stack};

use ask::Who;
pub(crate) use ask::{Ask, IntruderKnowledge};
pub(crate) use asks::asks;
pub(crate) use tenant::tenant;

/// Part of Ana's own resources, and of what only admins read.
const OWN: &str = "the-secret-of-ana";
/// Part of what the group north wrote after Ben left it.
const GROUP: &str = "the-secret-of-north";

async fn ask(
    stack: &Stack,
    ask: &Ask,
    known: &IntruderKnowledge,
    authorization: Option<&str>,
) -> ApiResponse {
    let mut headers = HeaderMap::new();
    authorization.map(|text| {
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(text).expect("a header"),
        )
    });
    ask_with(stack, ask, known, headers).await
}

async fn ask_with(
    stack: &Stack,
    ask: &Ask,
    known: &IntruderKnowledge,
    mut headers: HeaderMap,
) -> ApiResponse {
    let (path, body) = (ask.about)(known);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );

    let body = if ask.method == "GET" {
        String::new()
    } else {
        body.to_string()
    };

    stack
        .call(ask.method, &path, &headers, body.as_bytes())
        .await
}

/// Returns the status, and the code of the problem or the outcome of each item.
fn summary(response: &ApiResponse) -> String {
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
    words.fold(response.status.to_string(), |summary, word| {
        format!("{summary} {word}")
    })
}

/// Returns every row of every table by table and key.
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
fn matrix_covers_every_route() {
    let asked: BTreeSet<_> = asks()
        .map(|ask| (ask.method, format!("/api/v1/mobile/{}", ask.route)))
        .collect();
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.method, route.path.to_owned()))
        .collect();
    assert_eq!(asked, routes);
}

/// The texts that a response must not contain.
type Hidden = for<'a> fn(&Ask, &'a IntruderKnowledge) -> Vec<&'a str>;

/// Returns all secrets of the tenant.
fn all_secrets<'a>(_: &Ask, known: &'a IntruderKnowledge) -> Vec<&'a str> {
    vec![OWN, GROUP, &known.photo]
}

/// Calls every route with a valid token and checks each result against `expected`. No response may
/// contain a text in `hidden`. Existing rows may change only in the partitions in `own`, and rows
/// may be added only in partitions with a prefix in `begins`.
async fn assert_confined(
    token: fn(&Stack) -> String,
    expected: fn(&Ask) -> &'static str,
    hidden: Hidden,
    begins: &[&str],
    own: &[&str],
) {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    let before = rows(&stack);
    let token = format!("Bearer {}", token(&stack));

    for it in asks() {
        let response = ask(&stack, it, &known, Some(&token)).await;
        let place = format!("{} {}: {}", it.method, (it.about)(&known).0, response.text);
        assert_eq!(summary(&response), expected(it), "{place}");
        // A response may repeat the text of its request.
        let is_not_in_request = |secret: &&str| !(it.about)(&known).1.to_string().contains(secret);
        let secrets = hidden(it, &known);
        let mut secrets = secrets.iter().filter(|secret| is_not_in_request(secret));
        assert!(
            secrets.all(|secret| !response.text.contains(*secret)),
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
async fn other_tenants_admin_reaches_nothing() {
    let token = |stack: &Stack| stack.token("umbrella", "ana", &["admin"], &["north"]);
    assert_confined(
        token,
        |ask| ask.other_tenant,
        all_secrets,
        &["umbrella#", "umbrella"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn other_user_reaches_only_tenant_resources() {
    let token = |stack: &Stack| stack.token("acme", "eve", &["editor"], &[]);
    assert_confined(token, |ask| ask.other_user, all_secrets, &["acme#eve"], &[]).await;
}

#[tokio::test]
async fn former_member_reaches_nothing_of_the_group() {
    let token = |stack: &Stack| stack.token("acme", "ben", &["editor"], &[]);
    assert_confined(token, |ask| ask.group_left, all_secrets, &["acme#ben"], &[]).await;
}

#[tokio::test]
async fn member_reaches_only_the_group() {
    let token = |stack: &Stack| stack.token("acme", "mia", &["editor"], &["north"]);
    // A member may write a task of the group, and thereby the conflict that such an edit creates.
    let own = ["acme#group/north"];
    assert_confined(
        token,
        |ask| ask.not_admin,
        |_, known| vec![OWN, &known.photo],
        &["acme#mia", "acme#group/north", "acme"],
        &own,
    )
    .await;
}

#[tokio::test]
async fn viewer_reads_everything_and_changes_nothing() {
    let token = |stack: &Stack| stack.token("acme", "vic", &["viewer"], &[]);
    // What a device may do is not extended.
    let hidden: Hidden = |ask, known| {
        if ask.method == "GET" {
            Vec::new()
        } else {
            all_secrets(ask, known)
        }
    };
    assert_confined(token, |ask| ask.viewer, hidden, &["acme#vic"], &[]).await;
}

#[tokio::test]
async fn viewer_reads_what_an_admin_reads() {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    let [admin, viewer] = ["admin", "viewer"]
        .map(|role| format!("Bearer {}", stack.token("acme", "vic", &[role], &[])));

    let mut compared = 0;
    // The identity of a caller contains its roles.
    for it in asks().filter(|it| it.method == "GET" && it.viewer == "200" && it.route != "me") {
        let by_admin = ask(&stack, it, &known, Some(&admin)).await;
        let by_viewer = ask(&stack, it, &known, Some(&viewer)).await;
        assert_eq!(
            (by_viewer.status, &by_viewer.text),
            (200, &by_admin.text),
            "{}",
            it.route
        );
        compared += 1;
    }
    assert!(compared > 8, "{compared} routes");
}

#[tokio::test]
async fn other_tenants_viewer_reaches_nothing() {
    let token = |stack: &Stack| stack.token("umbrella", "ana", &["viewer"], &["north"]);
    // A viewer reads as an admin does; only an admin gets beyond the check of the role elsewhere.
    let expected = |ask: &Ask| {
        if ask.viewer == "403 forbidden" {
            ask.viewer
        } else {
            ask.other_tenant
        }
    };
    assert_confined(
        token,
        expected,
        all_secrets,
        &["umbrella#", "umbrella"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn operator_is_an_ordinary_user_of_tenants() {
    let token = |stack: &Stack| stack.token("acme", "ops", &["operator"], &[]);
    assert_confined(token, |ask| ask.operator, all_secrets, &["acme#ops"], &[]).await;
}

#[tokio::test]
async fn roles_have_no_effect_unless_configured() {
    let variables = [("ROLE_VIEWER", ""), ("ROLE_OPERATOR", "")];
    let stack = Stack::configured(&variables).today();
    let known = tenant(&stack).await;
    let roles = &["viewer", "operator"];
    let token = format!("Bearer {}", stack.token("acme", "eve", roles, &[]));

    for it in asks() {
        let response = ask(&stack, it, &known, Some(&token)).await;
        let place = format!("{} {}", it.method, it.route);
        assert_eq!(summary(&response), it.other_user, "{place}");
    }
}

#[tokio::test]
async fn permitted_callers_get_the_hidden_data() {
    let stack = Stack::new().today();
    let known = tenant(&stack).await;
    for it in asks() {
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

/// Sends the request as a caller who has permission.
pub(crate) async fn asked_by_owner(
    stack: &Stack,
    it: &Ask,
    known: &IntruderKnowledge,
) -> ApiResponse {
    asked_by_owner_with(stack, it, known, HeaderMap::new()).await
}

/// Sends the request with these headers as a caller who has permission.
pub(crate) async fn asked_by_owner_with(
    stack: &Stack,
    it: &Ask,
    known: &IntruderKnowledge,
    mut headers: HeaderMap,
) -> ApiResponse {
    let (user, roles): (_, &[&str]) = match it.owner.0 {
        Who::Ana => ("ana", &[]),
        Who::Member => ("mia", &[]),
        Who::Admin => ("root", &["admin"]),
    };
    let token = format!("Bearer {}", stack.token("acme", user, roles, &["north"]));
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_str(&token).expect("a header"),
    );
    ask_with(stack, it, known, headers).await
}

#[tokio::test]
async fn direct_invocation_is_limited_to_its_tenant() {
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
