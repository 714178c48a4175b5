"""The admin console below the stage of the API."""

import re
from urllib.parse import parse_qs, urljoin, urlsplit

from .deployment import CONSOLE_AUTHORIZE_URL, Deployment

_SESSION_COOKIE = "__Host-tidemark-session-0"


def console_is_served_below_the_stage(here: Deployment) -> None:
    tenant = here.tenant()
    token = here.issuer.token(tenant.name, "root", roles=("admin",))
    page = here.request("GET", "/console/conflicts", headers={"cookie": f"{_SESSION_COOKIE}={token}"})
    text = page.body.decode()
    assert page.status == 200 and tenant.name in text, page
    assert "default-src 'none'" in page.headers["content-security-policy"], page

    # Addresses are relative, so that they work below the stage.
    [sheet] = re.findall(r'<link rel="stylesheet" href="([^"]+)"', text)
    file = here.request("GET", urljoin("/console/conflicts", sheet))
    assert file.status == 200 and "immutable" in file.headers["cache-control"], file


def console_requires_a_sign_in(here: Deployment) -> None:
    page = here.request("GET", "/console/conflicts")
    assert page.status == 303, page
    sign_in = here.request("GET", urljoin("/console/conflicts", page.headers["location"]))
    assert sign_in.status == 303 and sign_in.headers["location"].startswith(CONSOLE_AUTHORIZE_URL), sign_in
    query = parse_qs(urlsplit(sign_in.headers["location"]).query)
    assert query["code_challenge_method"] == ["S256"] and "/console/" in query["redirect_uri"][0], query


SCENARIOS = [console_is_served_below_the_stage, console_requires_a_sign_in]
