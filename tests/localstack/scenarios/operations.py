"""What operators meet: batches that are replayed, and rows that nobody can read."""

import json
import time

from .deployment import Deployment, has, meter, wait_for


def a_batch_is_looked_at_and_replayed(here: Deployment) -> None:
    tenant = here.tenant()
    ana, admin = tenant.device("ana"), tenant.admin()
    # Its meter is not there yet, so the edit fails.
    pushed = ana.push(meter("create", "m-1", 1, 0), meter("update", "m-2", 5, 1))
    assert [result["status"] for result in pushed["results"]] == ["ok", "error"], pushed
    path = f"batches/{pushed['batch_id']}"
    shown = ana.ok("GET", path)
    assert shown["user"] == "ana" and len(shown["items"]) == 2 and shown["results"][1]["code"] == "not_found", shown
    assert tenant.device("ben").call("GET", path).status == 404

    tenant.device("office", "pc").push(meter("create", "m-2", 4, 0))
    assert ana.call("POST", f"{path}/replay").status == 403, "she is no admin"
    tried = admin.ok("POST", f"{path}/replay", {"dry_run": True})
    assert tried["dry_run"] is True and [result["status"] for result in tried["results"]] == ["ok", "ok"], tried
    assert ana.ok("GET", path)["results"][1]["status"] == "error", "a dry run writes nothing"
    replayed = admin.ok("POST", f"{path}/replay")
    assert [result["server_version"] for result in replayed["results"]] == [1, 2], replayed
    assert ana.ok("GET", path)["results"] == replayed["results"]
    ana.pull_until(has("m-2", 5))
    actions = [entry["action"] for entry in admin.ok("GET", "audit?order=oldest")["entries"]]
    assert actions == ["replay_started", "replay_finished"], actions


def a_record_nobody_can_read_is_set_aside_and_the_others_go_on(here: Deployment) -> None:
    tenant = here.tenant()
    ana, ben = tenant.device("ana"), tenant.device("ben")
    assert ben.pull() == []
    ana.push(meter("create", "m-1", 1, 0))
    # Somebody writes into the table by hand: a payload that is no text.
    mark = f"unreadable-{tenant.name}"
    row = {"pk": f"{tenant.name}#tenant", "sk": "meter#m-2", "payload": 7, "server_version": 1, "written_by_hand": mark}
    item = {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in row.items()}
    here.client("dynamodb").put_item(TableName=here.output("ResourcesTableName"), Item=item)
    ana.push(meter("create", "m-3", 3, 0))
    changes = ben.pull_until(has("m-3", 3))
    assert sorted({change["id"] for change in changes}) == ["m-1", "m-3"], changes

    kept = wait_for(lambda: _set_aside(here, mark), lambda: "no message told of the record")
    assert kept["function"] == "changelog" and kept["reason"], kept
    assert kept["record"]["dynamodb"]["NewImage"]["payload"] == {"N": "7"}, kept


def a_disabled_mapping_shows_in_the_metrics_and_loses_nothing(here: Deployment) -> None:
    tenant = here.tenant()
    ana, ben = tenant.device("ana"), tenant.device("ben")
    assert ben.pull() == []
    function = here.output("ChangelogFunctionName")
    (mapping,) = here.client("lambda").list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    began_ms = int(time.time() * 1000)
    _switch(here, mapping["UUID"], False)
    try:
        ana.push(meter("create", "m-1", 1, 0))
        # What the alarm NothingSequenced compares: changes were accepted, and none is sequenced.
        wait_for(lambda: _measured(here, "AcceptedChanges", began_ms), lambda: "the push measured no accepted change")
        assert ben.pull() == [] and _measured(here, "SequencedChanges", began_ms) == 0
    finally:
        _switch(here, mapping["UUID"], True)
    ben.pull_until(has("m-1", 1))
    wait_for(lambda: _measured(here, "SequencedChanges", began_ms), lambda: "nothing was measured after the mapping was enabled")


def _switch(here: Deployment, mapping: str, is_on: bool) -> None:
    here.client("lambda").update_event_source_mapping(UUID=mapping, Enabled=is_on)
    state = "Enabled" if is_on else "Disabled"
    get = here.client("lambda").get_event_source_mapping
    wait_for(lambda: get(UUID=mapping)["State"] == state, lambda: f"the mapping is {get(UUID=mapping)['State']}, not {state}")


def _measured(here: Deployment, metric: str, since_ms: int) -> int:
    """The sum of a metric, from the lines that CloudWatch makes it of."""
    logs, total = here.client("logs"), 0
    for group in logs.describe_log_groups()["logGroups"]:
        # LocalStack writes below the function's own name, AWS where the template says.
        if f"/{here.stack}-" in group["logGroupName"] or f"/{here.stack}/" in group["logGroupName"]:
            for event in logs.filter_log_events(logGroupName=group["logGroupName"], startTime=since_ms)["events"]:
                if '"_aws"' in event["message"]:
                    total += json.loads(event["message"]).get(metric, 0)
    return total


def _set_aside(here: Deployment, mark: str) -> dict | None:
    """The object with the mark in it, if a message on the queue names it."""
    sqs, s3 = here.client("sqs"), here.client("s3")
    queue = here.output("FailureQueueUrl")
    answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5, MaxNumberOfMessages=10)
    for message in answer.get("Messages", []):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        detail = json.loads(message["Body"])["detail"]
        bucket, key = detail["bucket"]["name"], detail["object"]["key"]
        text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        if mark in text:
            assert bucket == here.output("FailureBucketName") and key.startswith("set-aside/changelog/"), key
            return json.loads(text)
    return None


STORIES = [
    a_batch_is_looked_at_and_replayed,
    a_record_nobody_can_read_is_set_aside_and_the_others_go_on,
    a_disabled_mapping_shows_in_the_metrics_and_loses_nothing,
]
