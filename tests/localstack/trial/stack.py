"""Builds, deploys, describes and deletes the stack."""

import contextlib
import os
import pathlib
import platform
import time
from typing import Any

import boto3
from botocore.exceptions import ClientError

from scenarios import deployment
from scenarios.deployment import Deployment, Issuer

from .process import run

# arm64, the template's default, if this machine can run its binaries; otherwise the machine's
# architecture.
IS_ARM = platform.machine() in ("aarch64", "arm64")
ARCHITECTURE = "arm64" if IS_ARM or os.environ.get("TIDEMARK_BINARIES_RUNNER") else "x86_64"


def environment(endpoint: str | None = None) -> dict[str, str]:
    """Returns the environment of SAM and boto3, without the AWS credentials of this machine."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    aws = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",
    }
    return own | aws | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})


class Stack:
    """A stack of the template with a separate issuer."""

    def __init__(self, root: pathlib.Path, scratch: pathlib.Path, name: str) -> None:
        self.root, self.scratch, self.name = root, scratch, name
        self.issuer = Issuer()
        self.template = scratch / "build" / "template.yaml"
        self.began_ms = int(time.time() * 1000)

    def build(self) -> list[tuple[str, int]]:
        """Builds every function; returns the names and sizes of the binaries."""
        command = ["build", "--parameter-overrides", f"Architecture={ARCHITECTURE}", "--build-dir", str(self.template.parent)]
        self._sam("sam build", *command, "--template-file", "template.yaml")
        return [(path.parent.name, path.stat().st_size) for path in sorted(self.template.parent.glob("*/bootstrap"))]

    def deploy(self, endpoint: str) -> Deployment:
        self.endpoint = endpoint
        deployed = Deployment(endpoint, self.name, self.issuer)
        self.bucket = f"{self.name}-artifacts"
        deployed.client("s3").create_bucket(Bucket=self.bucket)
        parameters = {
            "Architecture": ARCHITECTURE,
            "JwtIssuer": deployment.ISSUER,
            "JwtAudience": deployment.AUDIENCE,
            "Jwks": f"'{self.issuer.jwks()}'",
            "ConsoleClientId": "console",
            "ConsoleAuthorizeUrl": deployment.CONSOLE_AUTHORIZE_URL,
            "ConsoleTokenUrl": "https://id.example/token",
            # LocalStack does not support dashboards.
            "Dashboard": "off",
        }
        overrides = [f"{name}={value}" for name, value in parameters.items()]
        command = ["deploy", "--stack-name", self.name, "--s3-bucket", self.bucket, "--parameter-overrides", *overrides]
        self._sam("sam deploy", *command, "--template-file", str(self.template), endpoint=endpoint)
        return deployed

    def _sam(self, name: str, *command: str, endpoint: str | None = None) -> None:
        settings = ["--config-file", str(self.root / "samconfig.toml"), "--config-env", "local"]
        named = environment(endpoint) | {"__SAM_CLI_APP_DIR": str(self.scratch / "sam")}
        (self.scratch / "sam").mkdir(exist_ok=True)
        run(name, ["sam", *command, *settings], named, self.scratch / f"{name.replace(' ', '-')}.log", self.root)

    def function_logs(self, deployed: Deployment, lines: int = 60) -> str:
        """Returns the last log lines of all functions together, oldest first."""
        logs, entries = deployed.client("logs"), []
        for group in logs.describe_log_groups()["logGroups"]:
            # LocalStack names log groups by function, AWS as in the template.
            if f"/{self.name}-" in group["logGroupName"] or f"/{self.name}/" in group["logGroupName"]:
                found = logs.filter_log_events(logGroupName=group["logGroupName"], startTime=self.began_ms)["events"]
                entries += [(event["timestamp"], group["logGroupName"], event["message"].rstrip()) for event in found]
        return "\n".join(f"{group}: {message}" for _, group, message in sorted(entries)[-lines:])

    def delete(self, endpoint: str) -> None:
        """Deletes everything that `deploy` created, even if it failed, with retained resources."""
        here = Deployment(endpoint, self.name, self.issuer)
        resources: list[dict[str, Any]] = []
        with contextlib.suppress(ClientError):
            resources = here.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        named = {kind: [r["PhysicalResourceId"] for r in resources if r["ResourceType"] == kind] for kind in _RETAINED}
        for bucket in [*named["AWS::S3::Bucket"], f"{self.name}-artifacts"]:
            with contextlib.suppress(ClientError):
                boto3.resource("s3", endpoint_url=endpoint).Bucket(bucket).object_versions.delete()
        with contextlib.suppress(ClientError):
            cloudformation = here.client("cloudformation")
            cloudformation.delete_stack(StackName=self.name)
            cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig={"Delay": 1})
        for bucket in [*named["AWS::S3::Bucket"], f"{self.name}-artifacts"]:
            with contextlib.suppress(ClientError):
                here.client("s3").delete_bucket(Bucket=bucket)
        for table in named["AWS::DynamoDB::Table"]:
            # Separately: a LocalStack without deletion protection can delete the table in any case.
            with contextlib.suppress(ClientError):
                here.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=False)
            with contextlib.suppress(ClientError):
                here.client("dynamodb").delete_table(TableName=table)


_RETAINED = ("AWS::S3::Bucket", "AWS::DynamoDB::Table")


def sizes(built: list[tuple[str, int]], deployed: Deployment) -> str:
    """Returns a table of the sizes of the binaries and packages."""
    resources = deployed.client("cloudformation").describe_stack_resources(StackName=deployed.stack)["StackResources"]
    functions = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::Function"}
    lines = []
    for name, size in built:
        package = deployed.client("lambda").get_function_configuration(FunctionName=functions[name])["CodeSize"]
        lines.append(f"  {name:20} binary {size / 1e6:5.2f} MB, package {package / 1e6:4.1f} MB")
    return "\n".join([f"functions for {ARCHITECTURE}; .ci/run runtime checks the budget of the binaries", *lines])
