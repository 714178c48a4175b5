"""DynamoDB and its streams on the engine of the local runner, in place of DynamoDB Local.

LocalStack's own providers forward to one `tidemark dynamodb` process for each account and region.
`TIDEMARK_BIN` is the path of the binary.

The engine stores the data and executes the requests. LocalStack continues to handle tags,
encryption and the expiry of items.
"""

import atexit
import os
import subprocess
import threading
from typing import Any

from localstack.aws.api import RequestContext, ServiceRequest, ServiceResponse, handler
from localstack.aws.api.dynamodbstreams import (
    DescribeStreamInput,
    DescribeStreamOutput,
    GetRecordsInput,
    GetRecordsOutput,
    GetShardIteratorInput,
    GetShardIteratorOutput,
    ListStreamsInput,
    ListStreamsOutput,
)
from localstack.aws.forwarder import AwsRequestProxy, ForwardingFallbackDispatcher
from localstack.http.proxy import Proxy
from localstack.services.dynamodb.v2.provider import DynamoDBProvider
from localstack.services.dynamodbstreams.v2.provider import DynamoDBStreamsProvider
from localstack.services.plugins import Service, aws_provider
from localstack.utils.aws.arns import get_partition

# The prefix of all ARNs of the engine, for every account and region.
ENGINE_ARN = "arn:aws:dynamodb:dynoxide:000000000000:"
ARN_FIELDS = {"TableArn", "LatestStreamArn", "StreamArn", "IndexArn"}
LISTENING = "DynamoDB is listening on "


class Engine:
    """A process with the tables of one account in one region, in memory."""

    def __init__(self) -> None:
        command = [os.environ["TIDEMARK_BIN"], "dynamodb", "--port", "0"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(LISTENING):
            raise RuntimeError(f"{command} printed {line!r} in place of its address")
        self.url = line.removeprefix(LISTENING).strip()
        self.proxy = AwsRequestProxy(self.url)
        # The engine accepts only its own address as host, not the host names of LocalStack.
        self.proxy.proxy = Proxy(self.url, preserve_host=False)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Engines:
    """All engine processes. Takes the place of the server that LocalStack's providers share."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, str], Engine] = {}
        self._lock = threading.Lock()
        atexit.register(self.stop_dynamodb)

    def engine_of(self, account_id: str, region: str) -> Engine:
        with self._lock:
            if (account_id, region) not in self._engines:
                self._engines[account_id, region] = Engine()
            return self._engines[account_id, region]

    def forward(self, context: RequestContext, request: ServiceRequest | None) -> ServiceResponse:
        response = self.engine_of(context.account_id, context.region).proxy(context, request)
        return _with_arns_of(context, response)

    def forward_unchanged(self, context: RequestContext, request: ServiceRequest | None) -> ServiceResponse:
        return self.engine_of(context.account_id, context.region).proxy(context, request)

    def start_dynamodb(self) -> bool:
        """Does nothing: a process starts with the first request of its account and region."""
        return True

    def stop_dynamodb(self) -> None:
        with self._lock:
            for engine in self._engines.values():
                engine.stop()
            self._engines.clear()


ENGINES = Engines()


class TidemarkDynamoDB(DynamoDBProvider):
    @staticmethod
    def _new_dynamodb_server() -> Engines:
        return ENGINES

    def on_after_init(self) -> None:
        """Omits the initialization of DynamoDB Local: its ARNs and its shell."""

    def forward_request(self, context: RequestContext, service_request: ServiceRequest | None = None) -> ServiceResponse:
        self.check_provisioned_throughput(context.operation.name)
        return ENGINES.forward(context, service_request)

    def get_forward_url(self, account_id: str, region_name: str) -> str:
        return ENGINES.engine_of(account_id, region_name).url

    def fix_table_arn(self, account_id: str, region_name: str, arn: str) -> str:
        return arn.replace(ENGINE_ARN, _prefix(account_id, region_name))


class TidemarkDynamoDBStreams(DynamoDBStreamsProvider):
    def __init__(self) -> None:
        self.server = ENGINES
        self.shard_to_region = {}

    def on_after_init(self) -> None:
        """Omits the initialization of DynamoDB Local."""

    def forward_request(self, context: RequestContext, service_request: ServiceRequest | None = None) -> ServiceResponse:
        return ENGINES.forward(context, service_request)

    @handler("DescribeStream", expand=False)
    def describe_stream(self, context: RequestContext, payload: DescribeStreamInput) -> DescribeStreamOutput:
        response = self.forward_request(context, _for_engine(context, payload))
        stream = response["StreamDescription"]
        parents = {shard.get("ParentShardId") for shard in stream["Shards"]}
        for shard in stream["Shards"]:
            # The engine returns the newest sequence number, which would mean that the shard is
            # closed.
            if stream["StreamStatus"] == "ENABLED" and shard["ShardId"] not in parents:
                shard["SequenceNumberRange"].pop("EndingSequenceNumber", None)
        return response

    @handler("GetShardIterator", expand=False)
    def get_shard_iterator(self, context: RequestContext, payload: GetShardIteratorInput) -> GetShardIteratorOutput:
        return self.forward_request(context, _for_engine(context, payload))

    @handler("GetRecords", expand=False)
    def get_records(self, context: RequestContext, payload: GetRecordsInput) -> GetRecordsOutput:
        response = self.forward_request(context, payload)
        for record in response["Records"]:
            record["awsRegion"] = context.region
        return response

    @handler("ListStreams", expand=False)
    def list_streams(self, context: RequestContext, payload: ListStreamsInput) -> ListStreamsOutput:
        return self.forward_request(context, payload)


def _prefix(account_id: str, region: str) -> str:
    return f"arn:{get_partition(region)}:dynamodb:{region}:{account_id}:"


def _for_engine(context: RequestContext, request: Any) -> Any:
    own = request["StreamArn"].replace(_prefix(context.account_id, context.region), ENGINE_ARN)
    return {**request, "StreamArn": own}


def _with_arns_of(context: RequestContext, response: Any) -> Any:
    """Returns the response with the caller's ARNs.

    Changes only ARN fields: an item may contain any text.
    """
    if isinstance(response, list):
        return [_with_arns_of(context, part) for part in response]
    if not isinstance(response, dict):
        return response
    prefix = _prefix(context.account_id, context.region)
    for name, value in response.items():
        if name in ARN_FIELDS and isinstance(value, str):
            response[name] = value.replace(ENGINE_ARN, prefix)
        elif isinstance(value, (dict, list)):
            response[name] = _with_arns_of(context, value)
    return response


@aws_provider(api="dynamodb", name="tidemark")
def dynamodb() -> Service:
    provider = TidemarkDynamoDB()
    return Service.for_provider(
        provider,
        dispatch_table_factory=lambda provider: ForwardingFallbackDispatcher(provider, ENGINES.forward_unchanged),
    )


@aws_provider(api="dynamodbstreams", name="tidemark")
def dynamodbstreams() -> Service:
    return Service.for_provider(TidemarkDynamoDBStreams())
