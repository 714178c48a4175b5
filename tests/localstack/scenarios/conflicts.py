"""Conflicts, their resolution by admins and operators, and their notifications."""

import json
from typing import Any

from .deployment import Deployment, Device, Tenant, has, meter, wait_for


def _conflict(tenant: Tenant) -> tuple[Device, Device, str]:
    """Lets Ana's phone edit a stale copy; returns both devices and the id of the conflict."""
    office, ana = tenant.device("office", "pc"), tenant.device("ana")
    office.push(meter("create", "m-1", 44, 0), meter("update", "m-1", 50, 1))
    result = ana.push_one(meter("update", "m-1", 42, 1))
    assert result["status"] == "conflict" and result["server_version"] == 2, result
    return ana, office, result["conflict_id"]


def _pulled_resolution(device: Device, conflict_id: str, reading: Any) -> dict[str, Any]:
    """Pulls until the device receives the change that resolves the conflict; returns it."""
    changes = device.pull_until(lambda changes: any((c.get("conflict") or {}).get("id") == conflict_id for c in changes))
    assert changes[-1]["payload"]["reading"] == reading and changes[-1]["server_version"] == 3, changes
    return changes[-1]


def stale_edit_creates_conflict_with_both_payloads(here: Deployment) -> None:
    tenant = here.tenant()
    ana, _, conflict = _conflict(tenant)
    [listed] = tenant.admin().ok("GET", "conflicts?status=open")["conflicts"]
    assert listed["id"] == conflict and listed["user"] == "ana" and listed["device_id"] == "phone", listed
    for reader in (tenant.admin(), ana):
        found = reader.ok("GET", f"conflicts/{conflict}")
        assert found["server_payload"] == {"reading": 50} and found["client_payload"] == {"reading": 42}, found
    for path, status in (("conflicts?status=open", 403), (f"conflicts/{conflict}", 404)):
        assert tenant.device("ben").call("GET", path).status == status, path


def admin_resolution_is_delivered_to_both_devices(here: Deployment) -> None:
    tenant = here.tenant()
    ana, office, conflict = _conflict(tenant)
    for device in (ana, office):
        device.pull_until(has("m-1", 50))
    request = {"resolution": "accept_client", "note": "Ana was there"}
    assert ana.call("POST", f"conflicts/{conflict}/resolve", request).status == 403, "she is not an admin"
    resolved = tenant.admin().ok("POST", f"conflicts/{conflict}/resolve", request)
    assert resolved["status"] == "resolved" and resolved["server_version"] == 3, resolved
    assert resolved["server_payload"] == {"reading": 42}, resolved
    for device in (ana, office):
        assert _pulled_resolution(device, conflict, 42)["conflict"]["resolution"] == "accept_client"
    assert tenant.admin().ok("GET", "conflicts?status=open")["conflicts"] == []
    [entry] = tenant.admin().ok("GET", "audit")["entries"]
    assert (entry["action"], entry["by"], entry["via"]) == ("conflict_resolved", "root", "api"), entry


def operator_resolves_by_direct_invocation(here: Deployment) -> None:
    tenant = here.tenant()
    ana, office, conflict = _conflict(tenant)
    for device in (ana, office):
        device.pull_until(has("m-1", 50))
    request = {"resolution": "manual_merge", "payload": {"reading": 46, "checked": True}}
    event = {"conflict_id": conflict, "tenant": tenant.name, "resolved_by": "ops@example.com", **request}
    resolved = _invoke(here, event)
    assert resolved["status"] == "resolved" and resolved["resolved_by"] == "ops@example.com", resolved
    for device in (ana, office):
        assert _pulled_resolution(device, conflict, 46)["payload"] == {"reading": 46, "checked": True}
    # A second, different resolution is rejected in the response, not with a function error.
    rejected = _invoke(here, event | {"resolution": "accept_server", "payload": None})
    assert rejected["status"] in (400, 409), rejected
    [entry] = tenant.admin().ok("GET", "audit")["entries"]
    assert entry["via"] == "invocation", entry


def _invoke(here: Deployment, event: dict[str, Any]) -> Any:
    event = {name: value for name, value in event.items() if value is not None}
    name = here.output("ResolveFunctionName")
    response = here.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    payload = response["Payload"].read()
    assert response["StatusCode"] == 200 and "FunctionError" not in response, payload
    return json.loads(payload)


def resolution_is_published_to_subscribers_of_its_user(here: Deployment) -> None:
    tenant = here.tenant()
    topic, sns, sqs = here.output("NotificationTopicArn"), here.client("sns"), here.client("sqs")
    inboxes = {}
    try:
        for user in ("ana", "ben"):
            url = sqs.create_queue(QueueName=f"{tenant.name}-{user}")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            attributes = {"FilterPolicy": json.dumps({"tenant": [tenant.name], "user": [user]}), "RawMessageDelivery": "true"}
            subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes, ReturnSubscriptionArn=True)
            inboxes[user] = (url, subscription["SubscriptionArn"])
        _, _, conflict = _conflict(tenant)
        tenant.admin().ok("POST", f"conflicts/{conflict}/resolve", {"resolution": "accept_client"})

        def received(user: str, seconds: int) -> list[dict[str, Any]]:
            response = sqs.receive_message(QueueUrl=inboxes[user][0], WaitTimeSeconds=seconds, MessageAttributeNames=["All"])
            return response.get("Messages", [])

        # Delivery is at least once: the same message may arrive again.
        message, *_ = wait_for(lambda: received("ana", 5), lambda: "no message arrived")
        attributes = {name: attribute["StringValue"] for name, attribute in message["MessageAttributes"].items()}
        assert attributes["event"] == "conflict_resolved" and attributes["tenant"] == tenant.name, message
        assert attributes["user"] == "ana" and attributes["device_id"] == "phone", message
        content = json.loads(message["Body"])
        assert content["conflict_id"] == conflict and content["resolution"] == "accept_client" and content["resource_id"] == "m-1", content
        assert "payload" not in message["Body"], "a message must not contain user data"
        assert received("ben", 1) == [], "the conflict is not ben's"
    finally:
        for url, subscription in inboxes.values():
            sns.unsubscribe(SubscriptionArn=subscription)
            sqs.delete_queue(QueueUrl=url)


SCENARIOS = [
    stale_edit_creates_conflict_with_both_payloads,
    admin_resolution_is_delivered_to_both_devices,
    operator_resolves_by_direct_invocation,
    resolution_is_published_to_subscribers_of_its_user,
]
