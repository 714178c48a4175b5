"""Pushes, pulls and acknowledges with the client that openapi-python-client generated from `openapi.json`, checked by `mypy --strict`."""

import sys
import uuid

from tidemark_client import AuthenticatedClient
from tidemark_client.api.default import acknowledge, pull, push, read_conflict, resolve_conflict
from tidemark_client.models import (
    AcceptClientRequest,
    AckRequest,
    AckResponse,
    ConflictResult,
    CreateItem,
    CreateItemAction,
    CreateItemPayload,
    DeleteChange,
    DeleteItem,
    DeleteItemAction,
    ErrorResult,
    ManualMergeRequest,
    ManualMergeRequestPayload,
    ManualMergeRequestResolution,
    OkResult,
    OpenConflict,
    PullRequest,
    PullResponse,
    PushRequest,
    PushResponse,
    ResolveResponse,
    UpdateItem,
)


def create(payload: dict[str, object]) -> CreateItem:
    item = CreateItem(resource_type="meter", action=CreateItemAction.CREATE, payload=CreateItemPayload(), client_version=0)
    item.payload.additional_properties = payload
    return item


def main(url: str, token: str, admin: str) -> None:
    client = AuthenticatedClient(base_url=url, token=token)
    device_id, meter, code = str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4())

    delete = DeleteItem(resource_type="meter", action=DeleteItemAction.DELETE, client_version=1, client_temp_id=str(uuid.uuid4()))
    items: list[CreateItem | UpdateItem | DeleteItem] = [create({"id": meter, "code": code, "list": [{"a": 1.5}]}), create({"id": str(uuid.uuid4()), "code": code})]
    items.append(delete)
    pushed = push.sync(client=client, body=PushRequest(device_id=device_id, batch_id=str(uuid.uuid4()), items=items))
    assert isinstance(pushed, PushResponse), pushed
    created, taken, missing = pushed.results
    assert isinstance(created, OkResult) and (created.server_id, created.server_version) == (meter, 1), created
    assert isinstance(taken, ConflictResult) and taken.code == "unique_violation" and taken.holder_id == meter, taken
    assert isinstance(missing, ErrorResult) and missing.code == "not_found" and missing.retryable is False, missing

    pulled = pull.sync(client=client, body=PullRequest(since_token=None))
    assert isinstance(pulled, PullResponse), pulled
    rows = {change.id: change.payload.to_dict() for change in pulled.changes if not isinstance(change, DeleteChange)}
    assert rows[meter] == {"code": code, "list": [{"a": 1.5}]}, rows
    acked = acknowledge.sync(client=client, body=AckRequest(ack_token=pulled.next_token, device_id=device_id))
    assert isinstance(acked, AckResponse) and "tenant" in acked.channels, acked

    root = AuthenticatedClient(base_url=url, token=admin)
    shown = read_conflict.sync(taken.conflict_id, client=root)
    assert isinstance(shown, OpenConflict), shown
    payload = ManualMergeRequestPayload()
    payload["code"] = str(uuid.uuid4())
    merge: AcceptClientRequest | ManualMergeRequest = ManualMergeRequest(
        resolution=ManualMergeRequestResolution.MANUAL_MERGE, payload=payload
    )
    decided = resolve_conflict.sync(taken.conflict_id, client=root, body=merge)
    assert isinstance(decided, ResolveResponse) and decided.server_version == 1, decided


if __name__ == "__main__":
    main(*sys.argv[1:])
