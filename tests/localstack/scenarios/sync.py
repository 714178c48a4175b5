"""Push, pull and acknowledgement."""

from .deployment import Deployment, has, meter, wait_for


def push_is_applied_and_retry_returns_same_response(here: Deployment) -> None:
    tenant = here.tenant()
    ana, office = tenant.device("ana"), tenant.device("office", "pc")
    office.push(meter("create", "m-123", 44, 0))
    for version in range(1, 7):
        office.push(meter("update", "m-123", 44 + version, version))
    # The push of the lifecycle document with a real token in place of its example.
    payload = {"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}}
    submission = {"client_temp_id": "tmp-1", "resource_type": "submission", "action": "create", "payload": payload, "client_version": 1}
    batch = (submission, meter("update", "m-123", 42, 5))
    first = ana.push(*batch, batch_id="b-1")
    created, conflicting = first["results"]
    assert created["status"] == "ok" and created["client_temp_id"] == "tmp-1" and created["server_version"] == 1, first
    assert conflicting["status"] == "conflict" and conflicting["server_id"] == "m-123" and conflicting["server_version"] == 7, first
    assert conflicting["error"] == "Version mismatch: server_version=7, client_version=5", first
    assert ana.push(*batch, batch_id="b-1") == first
    # Without the batch id, the deduplication window of the resources returns the same results.
    again = ana.push(*batch)["results"]
    assert [r["server_id"] for r in again] == [created["server_id"], "m-123"], again
    assert [r["server_version"] for r in again] == [1, 7] and again[1]["conflict_id"] == conflicting["conflict_id"], again


def change_is_delivered_through_the_stream(here: Deployment) -> None:
    tenant = here.tenant()
    ana, ben = tenant.device("ana"), tenant.device("ben", "tablet")
    # The tenant is still empty, so later changes cannot be part of a snapshot.
    assert ben.pull() == []
    assert ana.push_one(meter("create", "m-1", 1.0, 0))["status"] == "ok"
    change = ben.pull_until(has("m-1", 1.0))[0]
    assert change["action"] == "create" and change["server_version"] == 1 and change["channel"] == "tenant", change
    assert ana.push_one(meter("update", "m-1", "2.50", 1))["server_version"] == 2
    assert ben.pull_until(has("m-1", "2.50"))[-1]["server_version"] == 2
    assert ben.pull() == [], "a change must not be delivered twice"

    acknowledged = ben.ok("POST", "sync/ack", {"ack_token": ben.since, "device_id": "tablet", "app_version": "4.2.0"})
    assert sorted(acknowledged["channels"]) == ["tenant", "user/ben"], acknowledged
    [tablet] = ben.ok("GET", "devices")["devices"]
    assert tablet["device_id"] == "tablet" and tablet["app_version"] == "4.2.0", tablet
    assert [c["caught_up"] for c in tablet["channels"] if c["channel"] == "tenant"] == [True], tablet
    # After another change the tablet is no longer caught up.
    ana.push(meter("update", "m-1", 3, 2))

    def is_lagging() -> bool:
        [tablet] = tenant.admin().ok("GET", "devices?user=ben")["devices"]
        return [c["caught_up"] for c in tablet["channels"] if c["channel"] == "tenant"] == [False]

    wait_for(is_lagging)


def new_device_begins_with_a_snapshot(here: Deployment) -> None:
    tenant = here.tenant()
    ana = tenant.device("ana")
    items = [meter("create", f"m-{number}", number, 0) for number in range(30)]
    assert {result["status"] for result in ana.push(*items)["results"]} == {"ok"}
    found = tenant.device("ben").pull()
    assert sorted(change["id"] for change in found) == sorted(item["payload"]["id"] for item in items), found


def tenants_are_isolated(here: Deployment) -> None:
    ana, stranger = here.tenant().device("ana"), here.tenant().device("ana")
    ana.push(meter("create", "m-1", 1, 0))
    conflicting = ana.tenant.device("ben").push_one(meter("create", "m-1", 2, 0))
    batch = ana.push(meter("update", "m-1", 3, 1))["batch_id"]
    ana.tenant.device("ben", "tablet").pull_until(has("m-1", 3))
    assert stranger.pull() == []
    admin = stranger.tenant.admin()
    assert admin.ok("GET", "conflicts?status=open")["conflicts"] == []
    for method, path in [("GET", f"conflicts/{conflicting['conflict_id']}"), ("GET", f"batches/{batch}"), ("POST", f"batches/{batch}/replay")]:
        response = admin.call(method, path)
        assert response.status == 404 and response.json["code"] == "not_found", response
    # A resource with the same id in this tenant is a separate resource.
    assert stranger.push_one(meter("create", "m-1", 7, 0))["server_version"] == 1


SCENARIOS = [
    push_is_applied_and_retry_returns_same_response,
    change_is_delivered_through_the_stream,
    new_device_begins_with_a_snapshot,
    tenants_are_isolated,
]
