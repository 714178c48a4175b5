//! Responses to unknown operations and malformed requests.

use super::super::Engine;

#[test]
fn unknown_operation_returns_error_response() {
    let reply = Engine::memory().unwrap().call("MakeCoffee", b"{}");
    assert_eq!(reply.status, 400);
    assert!(
        String::from_utf8(reply.body)
            .unwrap()
            .contains("UnknownOperationException")
    );
}

#[test]
fn malformed_json_returns_serialization_exception() {
    let reply = Engine::memory().unwrap().call("PutItem", b"{");
    assert_eq!(reply.status, 400);
    assert!(
        String::from_utf8(reply.body)
            .unwrap()
            .contains("SerializationException")
    );
}
