"""Mode ``gateway``: what counts is what the holder of the secret says."""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest
from tests.support.server import Served
from tests.support.tokens import GATEWAY_SECRET, gateway_settings, guarded, raw_token, refusals

from agentcore_http.app import API

pytestmark = pytest.mark.anyio
OLD, NEW = "o" * 32, "n" * 40
SECRET = {"X-Gateway-Secret": GATEWAY_SECRET}
ANN = {"X-Tenant-Id": "acme", "X-User-Id": "ann"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with guarded(gateway_settings()) as found:
        yield found


async def get(served: Served, headers: Mapping[str, str] | list[tuple[str, str]]) -> httpx2.Response:
    return await served.http.get(f"{served.url}{API}/sessions", headers=headers)


def passed_on(**claims: Any) -> dict[str, str]:
    told = {"tenant_id": "acme", "sub": "ann"} | claims
    return {"Authorization": f"Bearer {raw_token({'alg': 'RS256'}, told)}"}


async def test_SEC02_without_the_secret_nothing_else_is_looked_at(served: Served) -> None:
    cases: list[tuple[str, Mapping[str, str] | list[tuple[str, str]]]] = [
        ("no_gateway_secret", {}),
        ("no_gateway_secret", ANN),
        ("no_gateway_secret", ANN | {"X-User-Roles": "admin"}),
        ("no_gateway_secret", passed_on()),
        ("no_gateway_secret", {"Authorization": "Bearer " + "x" * 100_000}),
        ("no_gateway_secret", {"Authorization": f"Bearer {GATEWAY_SECRET}"}),
        ("gateway_secret", ANN | {"X-Gateway-Secret": ""}),
        ("gateway_secret", ANN | {"X-Gateway-Secret": GATEWAY_SECRET[:-1]}),
        ("gateway_secret", ANN | {"X-Gateway-Secret": GATEWAY_SECRET + "g"}),
        ("gateway_secret", ANN | {"X-Gateway-Secret": GATEWAY_SECRET.upper()}),
        ("repeated_header", [*ANN.items(), ("X-Gateway-Secret", "h" * 32), *SECRET.items()]),
    ]
    bodies = set()
    for reason, headers in cases:
        with refusals() as reasons:
            answer = await get(served, headers)
        bodies.add(answer.text)
        assert (answer.status_code, reasons) == (401, [reason]), headers
    assert len(bodies) == 1
    assert (await get(served, ANN | SECRET)).status_code == 200


async def test_SEC02_both_secrets_are_good_during_rotation() -> None:
    for secrets, good in (((OLD,), {OLD}), ((OLD, NEW), {OLD, NEW}), ((NEW,), {NEW})):
        async with guarded(gateway_settings(gateway_secret=secrets)) as served:
            found = {
                secret
                for secret in (OLD, NEW, f"{OLD},{NEW}")
                if (await get(served, ANN | {"X-Gateway-Secret": secret})).status_code == 200
            }
        assert found == good


async def test_the_secret_says_nothing_of_who_asks(served: Served) -> None:
    for reason, headers in (
        ("no_identity", {}),
        ("subject", {"X-Tenant-Id": "acme"}),
        ("tenant", {"X-User-Id": "ann"}),
        ("tenant", {"X-User-Id": "ann"} | passed_on()),
        ("tenant", ANN | {"X-Tenant-Id": "a b"}),
        ("subject", ANN | {"X-User-Id": "a" * 201}),
        ("tenant", passed_on(tenant_id=None)),
        ("subject", passed_on(sub=7)),
        ("expired", passed_on(exp=1)),
        ("malformed", passed_on(exp="1")),
        ("malformed", passed_on(exp=1e300)),
        ("malformed", {"Authorization": "Bearer a.b.c"}),
        ("malformed", {"Authorization": "Bearer abc"}),
        ("token_too_long", {"Authorization": "Bearer " + "x" * 9000}),
    ):
        with refusals() as reasons:
            answer = await get(served, headers | SECRET)
        assert (answer.status_code, reasons) == (401, [reason]), headers
    with refusals() as reasons:  # the client's own in front of the gateway's
        answer = await get(served, [("X-Tenant-Id", "evil"), *ANN.items(), *SECRET.items()])
    assert (answer.status_code, reasons) == (401, ["repeated_header"])


async def test_headers_or_the_token_that_was_verified_name_the_caller(served: Served) -> None:
    async def tenant_of(headers: Mapping[str, str]) -> tuple[str, str]:
        await Served(served.url, served.runtime, served.engine, served.other, served.http, dict(headers)).done("x")
        line = served.engine.requests[-1].system_prompt
        return line.partition('tenant: "')[2].partition('"')[0], line.partition('user: "')[2].partition('"')[0]

    assert await tenant_of(SECRET | ANN) == ("acme", "ann")
    assert await tenant_of(SECRET | passed_on()) == ("acme", "ann")
    assert await tenant_of(SECRET | passed_on(exp=int(time.time()) + 60, tenant_id="b", sub="bob")) == ("b", "bob")
    assert await tenant_of(SECRET | ANN | passed_on(tenant_id="evil", sub="eve")) == ("acme", "ann")


async def test_roles_are_what_the_gateway_says(served: Served) -> None:
    for headers, status in (
        (ANN, 403),
        (ANN | {"X-User-Roles": "viewer, member, operator"}, 403),
        (ANN | {"X-User-Roles": "root,admin"}, 201),
        (passed_on(roles=["admin"]), 201),
        (passed_on(), 403),
        ({"X-User-Roles": "admin"} | passed_on(), 403),
    ):
        answer = await served.http.post(
            f"{served.url}{API}/engines/switch", json={"engineType": "other"}, headers=headers | SECRET
        )
        assert answer.status_code == status, headers
