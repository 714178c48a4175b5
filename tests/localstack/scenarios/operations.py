"""Operation: replayed batches, dead letters, and a disabled event source mapping."""

import json
import time

from .deployment import Deployment, has, meter, wait_for


def batch_is_read_and_replayed(here: Deployment) -> None:
    tenant = here.tenant()
    ana, admin = tenant.device("ana"), tenant.admin()
    # The meter m-2 does not exist yet, so its edit fails.
    pushed = ana.push(meter("create", "m-1", 1, 0), meter("update", "m-2", 5, 1))
    assert [result["status"] for result in pushed["results"]] == ["ok", "error"], pushed
    path = f"batches/{pushed['batch_id']}"
    shown = ana.ok("GET", path)
    assert shown["user"] == "ana" and len(shown["items"]) == 2 and shown["results"][1]["code"] == "not_found", shown
    assert tenant.device("ben").call("GET", path).status == 404

    tenant.device("office", "pc").push(meter("create", "m-2", 4, 0))
    assert ana.call("POST", f"{path}/replay").status == 403, "she is not an admin"
    tried = admin.ok("POST", f"{path}/replay", {"dry_run": True})
    assert tried["dry_run"] is True and [result["status"] for result in tried["results"]] == ["ok", "ok"], tried
    assert ana.ok("GET", path)["results"][1]["status"] == "error", "a dry run must not write anything"
    replayed = admin.ok("POST", f"{path}/replay")
    assert [result["server_version"] for result in replayed["results"]] == [1, 2], replayed
    assert ana.ok("GET", path)["results"] == replayed["results"]
    ana.pull_until(has("m-2", 5))
    actions = [entry["action"] for entry in admin.ok("GET", "audit?order=oldest")["entries"]]
    assert actions == ["replay_started", "replay_finished"], actions


def corrupt_record_is_dead_lettered_and_others_are_sequenced(here: Deployment) -> None:
    tenant = here.tenant()
    ana, ben = tenant.device("ana"), tenant.device("ben")
    assert ben.pull() == []
    ana.push(meter("create", "m-1", 1, 0))
    # An item that was written by hand, whose payload is not a string.
    mark = f"corrupt-{tenant.name}"
    row = {"pk": f"{tenant.name}#tenant", "sk": "meter#m-2", "payload": 7, "server_version": 1, "written_by_hand": mark}
    item = {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in row.items()}
    here.client("dynamodb").put_item(TableName=here.output("ResourcesTableName"), Item=item)
    ana.push(meter("create", "m-3", 3, 0))
    changes = ben.pull_until(has("m-3", 3))
    assert sorted({change["id"] for change in changes}) == ["m-1", "m-3"], changes

    kept = wait_for(lambda: _dead_letter(here, mark), lambda: "no message refers to the record")
    assert kept["function"] == "changelog" and kept["reason"], kept
    assert kept["record"]["dynamodb"]["NewImage"]["payload"] == {"N": "7"}, kept


def disabled_mapping_is_visible_in_metrics_and_loses_no_changes(here: Deployment) -> None:
    tenant = here.tenant()
    ana, ben = tenant.device("ana"), tenant.device("ben")
    assert ben.pull() == []
    function = here.output("ChangelogFunctionName")
    (mapping,) = here.client("lambda").list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    began_ms = int(time.time() * 1000)
    _switch(here, mapping["UUID"], False)
    try:
        ana.push(meter("create", "m-1", 1, 0))
        # The alarm NothingSequenced compares these: changes were accepted, and none is sequenced.
        wait_for(lambda: _measured(here, "AcceptedChanges", began_ms), lambda: "the push wrote no metric of an accepted change")
        assert ben.pull() == [] and _measured(here, "SequencedChanges", began_ms) == 0
    finally:
        _switch(here, mapping["UUID"], True)
    ben.pull_until(has("m-1", 1))
    wait_for(lambda: _measured(here, "SequencedChanges", began_ms), lambda: "no sequenced change was measured after the mapping was enabled")


def _switch(here: Deployment, mapping: str, is_on: bool) -> None:
    here.client("lambda").update_event_source_mapping(UUID=mapping, Enabled=is_on)
    state = "Enabled" if is_on else "Disabled"
    get = here.client("lambda").get_event_source_mapping
    wait_for(lambda: get(UUID=mapping)["State"] == state, lambda: f"the mapping is {get(UUID=mapping)['State']}, not {state}")


def _measured(here: Deployment, metric: str, since_ms: int) -> int:
    """Returns the sum of a metric, from the log lines from which CloudWatch extracts it."""
    logs, total = here.client("logs"), 0
    for group in logs.describe_log_groups()["logGroups"]:
        # LocalStack names log groups by function, AWS as in the template.
        if f"/{here.stack}-" in group["logGroupName"] or f"/{here.stack}/" in group["logGroupName"]:
            for event in logs.filter_log_events(logGroupName=group["logGroupName"], startTime=since_ms)["events"]:
                if '"_aws"' in event["message"]:
                    total += json.loads(event["message"]).get(metric, 0)
    return total


def _dead_letter(here: Deployment, mark: str) -> dict | None:
    """Returns the dead letter that contains the mark, if a message of the queue refers to it."""
    sqs, s3 = here.client("sqs"), here.client("s3")
    queue = here.output("FailureQueueUrl")
    response = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5, MaxNumberOfMessages=10)
    for message in response.get("Messages", []):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        detail = json.loads(message["Body"])["detail"]
        bucket, key = detail["bucket"]["name"], detail["object"]["key"]
        text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        if mark in text:
            assert bucket == here.output("FailureBucketName") and key.startswith("set-aside/changelog/"), key
            return json.loads(text)
    return None


SCENARIOS = [
    batch_is_read_and_replayed,
    corrupt_record_is_dead_lettered_and_others_are_sequenced,
    disabled_mapping_is_visible_in_metrics_and_loses_no_changes,
]
