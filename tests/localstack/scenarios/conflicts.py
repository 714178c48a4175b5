"""Conflicts, who decides them, and who is told."""

import json
from typing import Any

from .deployment import Deployment, Device, Tenant, has, meter, wait_for


def _conflict(tenant: Tenant) -> tuple[Device, Device, str]:
    """Ana's phone edits a copy that the office has changed meanwhile: both devices, and the conflict's id."""
    office, ana = tenant.device("office", "pc"), tenant.device("ana")
    office.push(meter("create", "m-1", 44, 0), meter("update", "m-1", 50, 1))
    refused = ana.push_one(meter("update", "m-1", 42, 1))
    assert refused["status"] == "conflict" and refused["server_version"] == 2, refused
    return ana, office, refused["conflict_id"]


def _told(device: Device, conflict_id: str, reading: Any) -> dict[str, Any]:
    """The change that tells the device of the decision."""
    changes = device.pull_until(lambda changes: any((c.get("conflict") or {}).get("id") == conflict_id for c in changes))
    assert changes[-1]["payload"]["reading"] == reading and changes[-1]["server_version"] == 3, changes
    return changes[-1]


def a_stale_edit_is_kept_in_a_conflict_with_both_payloads(here: Deployment) -> None:
    tenant = here.tenant()
    ana, _, conflict = _conflict(tenant)
    [listed] = tenant.admin().ok("GET", "conflicts?status=open")["conflicts"]
    assert listed["id"] == conflict and listed["user"] == "ana" and listed["device_id"] == "phone", listed
    for reader in (tenant.admin(), ana):
        shown = reader.ok("GET", f"conflicts/{conflict}")
        assert shown["server_payload"] == {"reading": 50} and shown["client_payload"] == {"reading": 42}, shown
    for path, status in (("conflicts?status=open", 403), (f"conflicts/{conflict}", 404)):
        assert tenant.device("ben").call("GET", path).status == status, path


def an_admin_decides_over_the_api_and_both_devices_are_told(here: Deployment) -> None:
    tenant = here.tenant()
    ana, office, conflict = _conflict(tenant)
    for device in (ana, office):
        device.pull_until(has("m-1", 50))
    decision = {"resolution": "accept_client", "note": "Ana was there"}
    assert ana.call("POST", f"conflicts/{conflict}/resolve", decision).status == 403, "she is no admin"
    decided = tenant.admin().ok("POST", f"conflicts/{conflict}/resolve", decision)
    assert decided["status"] == "resolved" and decided["server_version"] == 3, decided
    assert decided["server_payload"] == {"reading": 42}, decided
    for device in (ana, office):
        assert _told(device, conflict, 42)["conflict"]["resolution"] == "accept_client"
    assert tenant.admin().ok("GET", "conflicts?status=open")["conflicts"] == []
    [entry] = tenant.admin().ok("GET", "audit")["entries"]
    assert (entry["action"], entry["by"], entry["via"]) == ("conflict_resolved", "root", "api"), entry


def an_operator_decides_by_invoking_the_function(here: Deployment) -> None:
    tenant = here.tenant()
    ana, office, conflict = _conflict(tenant)
    for device in (ana, office):
        device.pull_until(has("m-1", 50))
    decision = {"resolution": "manual_merge", "payload": {"reading": 46, "checked": True}}
    event = {"conflict_id": conflict, "tenant": tenant.name, "resolved_by": "ops@example.com", **decision}
    decided = _invoke(here, event)
    assert decided["status"] == "resolved" and decided["resolved_by"] == "ops@example.com", decided
    for device in (ana, office):
        assert _told(device, conflict, 46)["payload"] == {"reading": 46, "checked": True}
    # Another decision is refused, and says so in the answer, not as the function's failure.
    refused = _invoke(here, event | {"resolution": "accept_server", "payload": None})
    assert refused["status"] in (400, 409), refused
    [entry] = tenant.admin().ok("GET", "audit")["entries"]
    assert entry["via"] == "invocation", entry


def _invoke(here: Deployment, event: dict[str, Any]) -> Any:
    event = {name: value for name, value in event.items() if value is not None}
    name = here.output("ResolveFunctionName")
    answer = here.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    payload = answer["Payload"].read()
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer, payload
    return json.loads(payload)


def a_decision_is_told_to_those_who_subscribed_to_its_user(here: Deployment) -> None:
    tenant = here.tenant()
    topic, sns, sqs = here.output("NotificationTopicArn"), here.client("sns"), here.client("sqs")
    inboxes = {}
    try:
        for user in ("ana", "ben"):
            url = sqs.create_queue(QueueName=f"{tenant.name}-{user}")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            wanted = {"FilterPolicy": json.dumps({"tenant": [tenant.name], "user": [user]}), "RawMessageDelivery": "true"}
            subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=wanted, ReturnSubscriptionArn=True)
            inboxes[user] = (url, subscription["SubscriptionArn"])
        _, _, conflict = _conflict(tenant)
        tenant.admin().ok("POST", f"conflicts/{conflict}/resolve", {"resolution": "accept_client"})

        def received(user: str, seconds: int) -> list[dict[str, Any]]:
            answer = sqs.receive_message(QueueUrl=inboxes[user][0], WaitTimeSeconds=seconds, MessageAttributeNames=["All"])
            return answer.get("Messages", [])

        # Told at least once: the same message may come again.
        message, *_ = wait_for(lambda: received("ana", 5), lambda: "no message came")
        attributes = {name: attribute["StringValue"] for name, attribute in message["MessageAttributes"].items()}
        assert attributes["event"] == "conflict_resolved" and attributes["tenant"] == tenant.name, message
        assert attributes["user"] == "ana" and attributes["device_id"] == "phone", message
        told = json.loads(message["Body"])
        assert told["conflict_id"] == conflict and told["resolution"] == "accept_client" and told["resource_id"] == "m-1", told
        assert "payload" not in message["Body"], "what users typed does not leave with it"
        assert received("ben", 1) == [], "it was not ben's conflict"
    finally:
        for url, subscription in inboxes.values():
            sns.unsubscribe(SubscriptionArn=subscription)
            sqs.delete_queue(QueueUrl=url)


STORIES = [
    a_stale_edit_is_kept_in_a_conflict_with_both_payloads,
    an_admin_decides_over_the_api_and_both_devices_are_told,
    an_operator_decides_by_invoking_the_function,
    a_decision_is_told_to_those_who_subscribed_to_its_user,
]
