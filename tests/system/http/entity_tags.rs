//! Entity tags (§8): a GET request whose `If-None-Match` contains the tag of the response gets
//! status 304 without a body. The requests are those of [`isolation`](crate::isolation), so that a
//! new route is covered here too.

use chrono::Duration;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, header};
use rstest::rstest;
use serde_json::json;
use tidemark::gateway::ApiKind;
use tidemark_tests::{
    ApiResponse, Item, Stack,
    scenario::{self, open_conflict},
};

use crate::isolation::{asked_by_owner_with, asks, tenant};

/// The origin of a page that may use the API.
const APP: &str = "https://app.example";

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// Returns the response to a GET request with this token and these headers.
async fn get(stack: &Stack, path: &str, token: &str, pairs: &[(HeaderName, &str)]) -> ApiResponse {
    let mut headers = headers(pairs);
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, bearer);
    stack.call("GET", path, &headers, b"").await
}

fn tag(response: &ApiResponse) -> String {
    response.headers[header::ETAG].to_str().unwrap().to_owned()
}

/// Checks that a response has status 304, no body, and the headers of the response with status 200,
/// apart from those about the body.
fn assert_not_modified(response: &ApiResponse, whole: &ApiResponse, place: &str) {
    assert_eq!(
        (response.status, response.text.as_str()),
        (304, ""),
        "{place}"
    );
    let mut expected = whole.headers.clone();
    expected.remove(header::CONTENT_TYPE);
    expected.remove(header::CONTENT_ENCODING);
    assert_eq!(response.headers, expected, "{place}");
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn unchanged_content_returns_304_later(#[case] api: ApiKind) {
    let stack = Stack::configured(&[("ALLOWED_ORIGINS", APP)])
        .behind(api)
        .today();
    let known = tenant(&stack).await;
    let mut seen = 0;

    for it in asks().filter(|it| it.method == "GET") {
        let origin = (header::ORIGIN, APP);
        let first = headers(std::slice::from_ref(&origin));
        let whole = asked_by_owner_with(&stack, it, &known, first).await;
        let place = format!("{api:?} {}: {}", it.route, whole.text);
        assert_eq!(whole.status, 200, "{place}");
        assert_eq!(
            whole.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            APP,
            "{place}"
        );

        // Ages in the response grow, and the tag stays the same.
        stack.advance(Duration::seconds(90));
        let tag = tag(&whole);
        let again = headers(&[origin, (header::IF_NONE_MATCH, tag.as_str())]);
        let response = asked_by_owner_with(&stack, it, &known, again).await;
        assert_not_modified(&response, &whole, &place);
        seen += 1;
    }
    assert!(seen > 8, "{seen} routes");
}

#[tokio::test]
async fn waiting_change_keeps_the_tag() {
    let stack = Stack::new();
    let phone = stack.device("ana", "phone");
    phone.push_one(Item::create("meter", "m", json!({}))).await;
    let path = "status?channel=tenant";
    let waiting = |response: &ApiResponse| {
        response.json()["channels"][0]["comparison"]["oldest_not_in_log_seconds"].clone()
    };

    let admin = scenario::admin(&stack);
    let whole = get(&stack, path, &admin, &[]).await;
    stack.advance(Duration::seconds(90));
    let later = get(&stack, path, &admin, &[]).await;
    assert_ne!(waiting(&later), waiting(&whole));
    assert_eq!(tag(&later), tag(&whole));

    stack.settle().await;
    let sequenced = get(&stack, path, &admin, &[]).await;
    assert_ne!(tag(&sequenced), tag(&whole));
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn changed_content_has_another_tag(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let admin = scenario::admin(&stack);
    let mut tags = vec![tag(&get(&stack, "conflicts", &admin, &[]).await)];

    for id in ["m-1", "m-2"] {
        let conflict = open_conflict(&stack, id, [json!({}), json!({"n": 1}), json!({"n": 2})]);
        let conflict = conflict.await;
        let last = tags.last().unwrap().clone();
        let known = [(header::IF_NONE_MATCH, last.as_str())];
        let response = get(&stack, "conflicts", &admin, &known).await;
        assert_eq!(response.status, 200);
        assert!(response.text.contains(&conflict), "{}", response.text);
        assert!(!tags.contains(&tag(&response)), "{tags:?}");
        tags.push(tag(&response));
    }
}

#[rstest]
#[case::rest(ApiKind::Rest)]
#[case::http(ApiKind::Http)]
#[tokio::test]
async fn lists_and_asterisk_match_weakly(#[case] api: ApiKind) {
    let stack = Stack::new().behind(api);
    let token = stack.token("acme", "ana", &[], &[]);
    let whole = get(&stack, "sync/limits", &token, &[]).await;
    let tag = tag(&whole);
    let (tag, strong) = (tag.as_str(), tag.strip_prefix("W/").unwrap());

    for listed in [
        vec!["*"],
        vec![tag],
        vec![strong],
        vec!["\"a\"", tag],
        vec![tag, "W/\"b\""],
    ] {
        let several: Vec<_> = listed
            .iter()
            .map(|one| (header::IF_NONE_MATCH, *one))
            .collect();
        let joined = listed.join(" , ");
        for pairs in [several, vec![(header::IF_NONE_MATCH, joined.as_str())]] {
            let response = get(&stack, "sync/limits", &token, &pairs).await;
            assert_not_modified(&response, &whole, &format!("{pairs:?}"));
        }
    }

    for other in ["\"a\"", "", strong.trim_matches('"'), "\"*\"", "W/\"\""] {
        let pairs = [(header::IF_NONE_MATCH, other)];
        let response = get(&stack, "sync/limits", &token, &pairs).await;
        assert_eq!(
            (response.status, &response.text),
            (200, &whole.text),
            "{other}"
        );
    }
}

#[tokio::test]
async fn problems_and_posts_are_never_304() {
    let stack = Stack::new();
    let (admin, ana) = (
        scenario::admin(&stack),
        stack.token("acme", "ana", &[], &[]),
    );
    let any = [(header::IF_NONE_MATCH, "*")];

    for (path, token, status) in [
        ("conflicts", "none", 401),
        ("conflicts", ana.as_str(), 403),
        ("conflicts/conf-unknown", admin.as_str(), 404),
        ("conflicts?limit=0", admin.as_str(), 400),
    ] {
        let response = get(&stack, path, token, &any).await;
        assert_eq!(response.status, status, "{path}: {}", response.text);
        assert!(!response.headers.contains_key(header::ETAG), "{path}");
    }

    let mut headers = headers(&any);
    let bearer = HeaderValue::from_str(&format!("Bearer {ana}")).unwrap();
    headers.insert(header::AUTHORIZATION, bearer);
    let pull = stack.send("sync/pull", &headers, b"{}").await;
    assert_eq!(pull.status, 200, "{}", pull.text);
    assert!(!pull.headers.contains_key(header::ETAG));
}

#[tokio::test]
async fn compressed_and_plain_content_share_a_tag() {
    let stack = Stack::new();
    let (note, admin) = ("x".repeat(4000), scenario::admin(&stack));
    let fields = [json!({}), json!({"n": 1}), json!({"note": note, "n": 2})];
    open_conflict(&stack, "m", fields).await;

    let plain = get(&stack, "conflicts", &admin, &[]).await;
    let gzip = (header::ACCEPT_ENCODING, "gzip");
    let packed = get(&stack, "conflicts", &admin, std::slice::from_ref(&gzip)).await;
    assert_eq!(packed.headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(tag(&packed), tag(&plain));

    let tag = tag(&plain);
    let known = [gzip, (header::IF_NONE_MATCH, tag.as_str())];
    let response = get(&stack, "conflicts", &admin, &known).await;
    assert_not_modified(&response, &packed, "gzip");
}
