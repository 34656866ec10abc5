"""Pages of other origins."""

from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from tests.support.server import Served
from tests.support.tokens import Issuer, bearing, gateway_settings, guarded, jwt_settings

from agentcore_http.app import API, create_app
from agentcore_http.settings import load

pytestmark = pytest.mark.anyio
APP = "https://app.example"
FOREIGN = (
    "https://evil.example",
    "null",
    "http://app.example",
    "https://app.example:444",
    "https://app.example.evil.example",
    "https://appXexample",
    "https://evil.example/https://app.example",
    "https://APP.example.evil",
)


@pytest.fixture
async def asked() -> AsyncIterator[Served]:
    issuer = Issuer()
    async with guarded(jwt_settings(origins=(APP, "https://two.example")), issuer) as served:
        yield bearing(served, issuer.token())


async def test_SEC31_pages_of_listed_origins_may_ask_and_no_others(asked: Served) -> None:
    good = await asked.call("GET", "/sessions", Origin=APP)
    assert good.status_code == 200
    assert good.headers["access-control-allow-origin"] == APP
    assert good.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in good.headers
    for origin in FOREIGN:
        answer = await asked.call("GET", "/sessions", Origin=origin)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused"), origin
        assert "access-control-allow-origin" not in answer.headers
    refused = await asked.http.get(f"{asked.url}{API}/sessions", headers={"Origin": APP})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == APP  # the page can read why


async def test_SEC31_a_preflight_is_answered_for_listed_origins(asked: Served) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    good = await asked.http.options(f"{asked.url}{API}/tasks", headers=ask | {"Origin": APP})
    assert good.status_code == 204
    assert good.headers["access-control-allow-origin"] == APP
    assert good.headers["vary"] == "Origin"
    assert "POST" in good.headers["access-control-allow-methods"]
    assert "authorization" in good.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in good.headers
    for origin in FOREIGN:
        bad = await asked.http.options(f"{asked.url}{API}/tasks", headers=ask | {"Origin": origin})
        assert bad.status_code in {400, 403}, origin
        assert "access-control-allow-origin" not in bad.headers
    odd = ask | {"Origin": APP, "Access-Control-Request-Headers": "x-gateway-secret"}
    assert (await asked.http.options(f"{asked.url}{API}/tasks", headers=odd)).status_code == 400


@pytest.mark.parametrize("mode", ["gateway", "jwt"])
async def test_without_a_list_other_origins_may_nothing(mode: str) -> None:
    async with guarded(gateway_settings() if mode == "gateway" else jwt_settings(), Issuer()) as served:
        for headers in ({"Origin": APP}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            for method in ("GET", "POST", "OPTIONS"):
                answer = await served.http.request(method, f"{served.url}{API}/tasks", headers=headers)
                if method != "GET":  # there is no such page
                    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
                assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_behind_a_gateway_any_name_will_do_but_there_must_be_one(asked: Served) -> None:
    own = {"Host": "agents.example", "Origin": "https://agents.example", **asked.headers}
    assert (await asked.http.get(f"{asked.url}{API}/sessions", headers=own)).status_code == 200
    forwarded = {"Host": "10.0.0.5", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"}
    assert (await asked.http.get(f"{asked.url}{API}/sessions", headers=forwarded | asked.headers)).status_code == 403
    nameless = await asked.http.get(f"{asked.url}{API}/sessions", headers={"Host": "", **asked.headers})
    assert nameless.status_code in {400, 403}


def test_SEC31_the_framework_is_new_enough_and_names_are_exact() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    floor = Requirement(next(line for line in text.splitlines() if '"litestar' in line).strip(' ",'))
    assert not any(floor.specifier.contains(old) for old in ("2.19.9", "2.20.0", "2.24.9"))
    assert Version(version("litestar")) >= Version("2.20")
    app = create_app(lambda: None, jwt_settings(origins=(APP,)))  # type: ignore[arg-type, return-value]
    assert app.cors_config is not None
    assert app.cors_config.allow_origins == [APP]
    assert not app.cors_config.is_allow_all_origins
    assert app.csrf_config is None
    assert not app.allowed_hosts  # CVE-2026-25479: hosts are compared by ``auth.origin``
    assert load({"AGENTCORE_ORIGINS": "https://App.example/, host.example"}).origins == (APP, "host.example")
