"""Pushing, pulling and acknowledging."""

from .deployment import Deployment, has, meter, wait_for


def a_push_is_applied_and_its_retry_is_answered_the_same(here: Deployment) -> None:
    tenant = here.tenant()
    ana, office = tenant.device("ana"), tenant.device("office", "pc")
    office.push(meter("create", "m-123", 44, 0))
    for version in range(1, 7):
        office.push(meter("update", "m-123", 44 + version, version))
    # The push of the lifecycle document, but for its token, which is only an example there.
    payload = {"form_id": "f-1", "form_version": "v2", "data": {"fieldA": "ok"}}
    submission = {"client_temp_id": "tmp-1", "resource_type": "submission", "action": "create", "payload": payload, "client_version": 1}
    batch = (submission, meter("update", "m-123", 42, 5))
    first = ana.push(*batch, batch_id="b-1")
    made, refused = first["results"]
    assert made["status"] == "ok" and made["client_temp_id"] == "tmp-1" and made["server_version"] == 1, first
    assert refused["status"] == "conflict" and refused["server_id"] == "m-123" and refused["server_version"] == 7, first
    assert refused["error"] == "Version mismatch: server_version=7, client_version=5", first
    assert ana.push(*batch, batch_id="b-1") == first
    # Without the batch's name too: the resources themselves remember.
    again = ana.push(*batch)["results"]
    assert [r["server_id"] for r in again] == [made["server_id"], "m-123"], again
    assert [r["server_version"] for r in again] == [1, 7] and again[1]["conflict_id"] == refused["conflict_id"], again


def a_change_reaches_the_other_device_through_the_stream(here: Deployment) -> None:
    tenant = here.tenant()
    ana, ben = tenant.device("ana"), tenant.device("ben", "tablet")
    # Before anything is there: what comes now cannot come from a snapshot.
    assert ben.pull() == []
    assert ana.push_one(meter("create", "m-1", 1.0, 0))["status"] == "ok"
    change = ben.pull_until(has("m-1", 1.0))[0]
    assert change["action"] == "create" and change["server_version"] == 1 and change["channel"] == "tenant", change
    assert ana.push_one(meter("update", "m-1", "2.50", 1))["server_version"] == 2
    assert ben.pull_until(has("m-1", "2.50"))[-1]["server_version"] == 2
    assert ben.pull() == [], "nothing is told twice"

    acknowledged = ben.ok("POST", "sync/ack", {"ack_token": ben.since, "device_id": "tablet", "app_version": "4.2.0"})
    assert sorted(acknowledged["channels"]) == ["tenant", "user/ben"], acknowledged
    [tablet] = ben.ok("GET", "devices")["devices"]
    assert tablet["device_id"] == "tablet" and tablet["app_version"] == "4.2.0", tablet
    assert [c["caught_up"] for c in tablet["channels"] if c["channel"] == "tenant"] == [True], tablet
    # One more change, and the tablet is behind.
    ana.push(meter("update", "m-1", 3, 2))

    def is_behind() -> bool:
        [tablet] = tenant.admin().ok("GET", "devices?user=ben")["devices"]
        return [c["caught_up"] for c in tablet["channels"] if c["channel"] == "tenant"] == [False]

    wait_for(is_behind)


def a_new_device_starts_with_a_snapshot(here: Deployment) -> None:
    tenant = here.tenant()
    ana = tenant.device("ana")
    items = [meter("create", f"m-{number}", number, 0) for number in range(30)]
    assert {result["status"] for result in ana.push(*items)["results"]} == {"ok"}
    found = tenant.device("ben").pull()
    assert sorted(change["id"] for change in found) == sorted(item["payload"]["id"] for item in items), found


def another_tenant_sees_nothing(here: Deployment) -> None:
    ana, stranger = here.tenant().device("ana"), here.tenant().device("ana")
    ana.push(meter("create", "m-1", 1, 0))
    refused = ana.tenant.device("ben").push_one(meter("create", "m-1", 2, 0))
    batch = ana.push(meter("update", "m-1", 3, 1))["batch_id"]
    ana.tenant.device("ben", "tablet").pull_until(has("m-1", 3))
    assert stranger.pull() == []
    admin = stranger.tenant.admin()
    assert admin.ok("GET", "conflicts?status=open")["conflicts"] == []
    for method, path in [("GET", f"conflicts/{refused['conflict_id']}"), ("GET", f"batches/{batch}"), ("POST", f"batches/{batch}/replay")]:
        answer = admin.call(method, path)
        assert answer.status == 404 and answer.json["code"] == "not_found", answer
    # Its own resource of the same name is another one.
    assert stranger.push_one(meter("create", "m-1", 7, 0))["server_version"] == 1


STORIES = [
    a_push_is_applied_and_its_retry_is_answered_the_same,
    a_change_reaches_the_other_device_through_the_stream,
    a_new_device_starts_with_a_snapshot,
    another_tenant_sees_nothing,
]
