"""A deployed stack as the scenarios use it: its API, AWS services, valid tokens, and devices."""

import base64
import http.client
import itertools
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://issuer.example/"
AUDIENCE = "tidemark-scenarios"
CONSOLE_AUTHORIZE_URL = "https://id.example/authorize"
KEY_ID = "scenarios"
# The maximum time from a push to the pull that returns the change. Without other load it takes
# about two seconds.
DELIVERY_MAX_S = 60

T = TypeVar("T")


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"{self.status} {self.headers} {self.body[:2000]!r}"


class Issuer:
    """Signs tokens like an identity provider, with a key that is generated for one run."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> str:
        """Returns the public key in the format of the parameter `Jwks`."""
        point = self._key.public_key().public_numbers()
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID}
        key |= {name: _base64(number.to_bytes(32, "big")) for name, number in {"x": point.x, "y": point.y}.items()}
        return json.dumps({"keys": [key]}, separators=(",", ":"))

    def token(self, tenant: str, user: str, *, roles: tuple[str, ...] = (), **claims: Any) -> str:
        now = int(time.time())
        head = {"alg": "ES256", "typ": "JWT", "kid": KEY_ID}
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "tenant": tenant, "roles": roles, "iat": now, "exp": now + 3600} | claims
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Deployment:
    """A stack at an AWS endpoint."""

    def __init__(self, endpoint: str, stack: str, issuer: Issuer) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.stack = stack
        self.issuer = issuer

    @cache
    def client(self, service: str) -> Any:
        # Without retries: a scenario evaluates the first response.
        config = Config(retries={"total_max_attempts": 1}, read_timeout=90, s3={"addressing_style": "path"})
        return boto3.client(service, endpoint_url=self.endpoint, config=config)

    @cached_property
    def _described(self) -> dict[str, Any]:
        return self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]

    def output(self, name: str) -> str:
        for output in self._described["Outputs"]:
            if output["OutputKey"] == name:
                return output["OutputValue"]
        raise KeyError(f"the stack has no output {name}")

    @cached_property
    def _base_path(self) -> str:
        # The output with the whole URL contains the host of AWS.
        stages = [p["ParameterValue"] for p in self._described["Parameters"] if p["ParameterKey"] == "StageName"]
        return f"/_aws/execute-api/{self.output('ApiId')}/{stages[0]}"

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return f"{self.endpoint}{self._base_path}"

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Response:
        """Sends a request to the API; `path` begins at the root of its stage."""
        return send(self.endpoint, method, f"{self._base_path}{path}", body, headers or {})

    def call(self, token: str | None, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Response:
        """Sends a request as a client of the mobile API does."""
        headers = {"accept": "application/json", **(headers or {})}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if body is not None:
            headers.setdefault("content-type", "application/json")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request(method, f"/api/v1/mobile/{path}", data, headers)

    def tenant(self) -> "Tenant":
        """Creates a tenant, which isolates a scenario from the others."""
        return Tenant(self, f"tenant-{uuid.uuid4().hex[:8]}")


@dataclass(frozen=True)
class Tenant:
    deployment: Deployment
    name: str

    def device(self, user: str, device_id: str = "phone") -> "Device":
        return Device(self, user, device_id, self.deployment.issuer.token(self.name, user))

    def admin(self) -> "Device":
        return Device(self, "root", "desk", self.deployment.issuer.token(self.name, "root", roles=("admin",)))


class Device:
    """A device of a user. It stores its sync token, and sees the server only through responses."""

    def __init__(self, tenant: Tenant, user: str, device_id: str, token: str) -> None:
        self.tenant, self.user, self.device_id, self.token = tenant, user, device_id, token
        self.since: str | None = None

    def call(self, method: str, path: str, body: Any = None, **named: Any) -> Response:
        return self.tenant.deployment.call(self.token, method, path, body, **named)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        response = self.call(method, path, body)
        assert response.status == 200, f"{method} {path}: {response}"
        return response.json

    def push(self, *items: dict[str, Any], batch_id: str | None = None) -> Any:
        body = {"device_id": self.device_id, "client_sync_token": self.since, "items": items}
        return self.ok("POST", "sync/push", body | ({"batch_id": batch_id} if batch_id else {}))

    def push_one(self, item: dict[str, Any]) -> Any:
        return self.push(item)["results"][0]

    def pull(self) -> list[dict[str, Any]]:
        """Pulls all pages; returns their changes."""
        changes: list[dict[str, Any]] = []
        for _ in range(100):
            page = self.ok("POST", "sync/pull", {"since_token": self.since, "device_id": self.device_id})
            self.since = page["next_token"]
            changes += page["changes"]
            if not page["has_more"]:
                return changes
        raise AssertionError(f"the pull does not end: {changes}")

    def pull_until(self, is_complete: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Pulls until `is_complete` accepts all changes that were received; returns them."""
        changes: list[dict[str, Any]] = []

        def more() -> bool:
            changes.extend(self.pull())
            return is_complete(changes)

        wait_for(more, lambda: f"the device has only pulled {changes}")
        return changes


def meter(action: str, meter_id: str, reading: Any, version: int, **fields: Any) -> dict[str, Any]:
    """Returns a push item about a meter, which is visible to the whole tenant."""
    payload = {"id": meter_id, "reading": reading}
    return {"resource_type": "meter", "action": action, "client_version": version, "payload": payload, **fields}


def has(resource_id: str, reading: Any) -> Callable[[list[dict[str, Any]]], bool]:
    """Returns a predicate that is true if the changes contain this reading of the meter."""

    def among(changes: list[dict[str, Any]]) -> bool:
        return any(c["id"] == resource_id and (c["payload"] or {}).get("reading") == reading for c in changes)

    return among


def wait_for(poll: Callable[[], T], describe: Callable[[], str] = lambda: "the result is missing", seconds: float = DELIVERY_MAX_S) -> T:
    """Polls until the result is truthy; returns it."""
    deadline = time.monotonic() + seconds
    for attempt in itertools.count():
        if result := poll():
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s {describe()}")
        time.sleep(min(0.1 * 2**attempt, 1.0))
    raise AssertionError


def send(origin: str, method: str, target: str, body: bytes, headers: dict[str, str]) -> Response:
    """Sends one HTTP request with only these headers and `content-length`.

    Redirects are not followed, bodies are not decompressed, and requests are not retried.
    """
    parts = urlsplit(origin)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=90)
    try:
        names = {name.lower() for name in headers}
        connection.putrequest(method, target, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if "content-length" not in names:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
