"""Writes `template-http.yaml`, the template with an HTTP API in place of the REST API, from `template.yaml`:

    python .ci/http_template.py            writes it
    python .ci/http_template.py --check    says whether it is what would be written; .ci/run does this

Everything but the API itself is the same text, so the two cannot drift apart. What this does not recognise is refused.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
SOURCE, TARGET = ROOT / "template.yaml", ROOT / "template-http.yaml"

HEAD = """\
# Written by `python .ci/http_template.py` from template.yaml: change that file, and run this again.
#
# The same deployment behind an HTTP API, which costs 1.00 $ for a million requests in place of 3.50 $. It has no X-Ray, no WAF and no usage
# plans, and answers an unknown route with 404. LocalStack's free edition has none, so the REST API is what CI deploys.

"""

API = """\
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: !Ref StageName
      # An HTTP API hands on bodies as they are: the event says which are base64.
      AccessLogSettings: !If
        - HasAccessLogs
        - DestinationArn: !GetAtt ApiLogs.Arn
          Format: >-
            {"request_id":"$context.requestId","time":"$context.requestTime","method":"$context.httpMethod","route":"$context.routeKey",
            "status":"$context.status","ms":"$context.responseLatency","function_ms":"$context.integrationLatency","bytes":"$context.responseLength",
            "function_status":"$context.integrationStatus","function_error":"$context.integrationErrorMessage","error":"$context.error.message",
            "ip":"$context.identity.sourceIp","user_agent":"$context.identity.userAgent"}
        - !Ref AWS::NoValue
      DefaultRouteSettings:
        ThrottlingRateLimit: !Ref ThrottleRate
        ThrottlingBurstLimit: !Ref ThrottleBurst
        # Those of the stage say enough; CloudWatch charges for those of each route.
        DetailedMetricsEnabled: false

"""

ACCESS_LOGS = """\
  ApiAccessLogs:
    Type: String
    Default: 'off'
    AllowedValues: ['on', 'off']
    Description: Whether the API writes a line for each request. An HTTP API needs no role of the account for it.
"""

# What the API of template.yaml is made of. A property that is new there needs a decision here.
# An HTTP API answers for itself with headers that cannot be set.
KNOWN = {"StageName", "EndpointConfiguration", "BinaryMediaTypes", "TracingEnabled", "AccessLogSetting", "MethodSettings", "GatewayResponses"}


def block(text: str, name: str) -> str:
    """A resource, parameter or condition with this name, up to the next one."""
    found = re.findall(rf"(?ms)^  {name}:.*?(?=^  \w+:|^  #|^\w|\Z)", text)
    if len(found) != 1:
        raise SystemExit(f"{name} is {len(found)} times in {SOURCE.name}")
    return found[0]


def replaced(text: str, old: str, new: str, at_least: int = 1) -> str:
    if text.count(old) < at_least:
        raise SystemExit(f"{SOURCE.name} no longer has {old!r}: teach {pathlib.Path(__file__).name} what is there now")
    return text.replace(old, new)


def written(text: str) -> str:
    globals_api = re.search(r"(?ms)^  Api:\n    # Without this SAM adds.*?(?=^  Function:)", text)
    if globals_api is None:
        raise SystemExit("Globals.Api is not where it was")
    text = text.replace(globals_api.group(), "")
    api = block(text, "Api")
    properties = set(re.findall(r"(?m)^      (\w+):", api))
    if properties != KNOWN:
        raise SystemExit(f"Api has other properties than known here: {sorted(properties ^ KNOWN)}")
    text = replaced(text, api, API)
    text = replaced(text, block(text, "ApiAccessLogs"), ACCESS_LOGS)
    account = "  # A setting of the account in this region, not of this API"
    start, end = text.index(block(text, "ApiLogRole")), text.index(block(text, "ApiLogAccount"))
    if account not in text[start:end]:
        raise SystemExit(f"{account!r} is not where it was")
    text = text[:start] + text[end + len(block(text, "ApiLogAccount")) :]
    text = replaced(text, block(text, "MakesAccessLogRole"), "")
    text = replaced(text, block(text, "TracesApi"), "")
    text = replaced(text, "          Type: Api\n", "          Type: HttpApi\n", at_least=13)
    text = replaced(text, "            RestApiId: !Ref Api\n", "            ApiId: !Ref Api\n", at_least=13)
    text = replaced(text, "{Name: ApiName, Value: !Ref AWS::StackName}", "{Name: ApiId, Value: !Ref Api}", at_least=4)
    text = replaced(text, '"ApiName", "${AWS::StackName}"', '"ApiId", "${Api}"', at_least=4)
    for of_rest, of_http in (("4XXError", "4xx"), ("5XXError", "5xx")):
        text = replaced(text, of_rest, of_http, at_least=2)
    text = replaced(text, "through a REST API", "through an HTTP API")
    # The comment on the API's events speaks of one that is not there.
    for word in ("RestApiId", "AWS::Serverless::Api\n", "ApiName"):
        if word in text:
            raise SystemExit(f"{word!r} is left over")
    return HEAD + text


def main(arguments: list[str]) -> int:
    wanted = written(SOURCE.read_text())
    if arguments == ["--check"]:
        if TARGET.exists() and TARGET.read_text() == wanted:
            return 0
        print(f"{TARGET.name} does not follow {SOURCE.name}: run python .ci/http_template.py")
        return 1
    TARGET.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
