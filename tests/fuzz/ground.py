"""A server in mode ``jwt`` that is to be attacked, and what on it is nobody's business.

Law: marks stand in everything that another tenant, and another user of the same tenant, has written; after the attack
the others' things are as they were, nothing has failed, nothing is still open, and the server does its work.
"""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import jwt
import structlog
from attrs import define, field, frozen

from agentcore.ports import Leases, Store
from agentcore_http.telemetry import figures
from tests.support.server import Json, Served, serving, text_of
from tests.support.tokens import KEYS, STRANGER, Issuer, a_claims, b64, bearing, jwt_settings, public_pem, raw_token

DAY_S = 86400
TENANT, ATTACKER = "fuzzed", "fuzzer"
THEIRS, NEIGHBOURS = "MARK-OF-ANOTHER-TENANT", "MARK-OF-ANOTHER-USER"
FAILURES = {"work.failed", "request.failed", "request.raised"}
NOT_SET_UP = {"stt_unavailable"}  # nobody transcribes here
ROLES: dict[str, list[str]] = {"admin": ["admin"], "user": ["viewer", "member"]}


@frozen
class Planted:
    """A session of somebody else with a task that never ends."""

    owner: Served
    mark: str
    session_id: str
    task_id: str

    async def picture(self) -> Json:
        """Return all that there is of it."""
        log = await self.owner.log(self.session_id)
        return {
            "log": [frame for frame in log if frame["type"] != "text"],
            "said": text_of(log),
            "task": await self.owner.task(self.task_id),
            "session": await self.owner.get(f"/sessions/{self.session_id}"),
        }


@define
class Ground:
    """A server, its issuer of tokens, and what was planted."""

    served: Served
    issuer: Issuer
    planted: Sequence[Planted]
    logged: list[Any]
    before: list[Json] = field(factory=list)

    def token(self, who: str) -> str:
        """Sign a token that lasts as long as an attack may."""
        return self.issuer.token(tenant_id=TENANT, sub=ATTACKER, roles=ROLES[who], exp=int(time.time()) + DAY_S)

    def marks(self, who: str) -> list[str]:
        """Return what *who* must never read."""
        others = [one for one in self.planted if who != "admin" or one.mark == THEIRS]  # who looks after a tenant may
        return [self.key, *(word for one in others for word in (one.mark, one.session_id, one.task_id))]

    @property
    def key(self) -> str:
        """The server's key."""
        return self.served.runtime.seal.key.decode()

    async def pictures(self) -> list[Json]:
        return [await one.picture() for one in self.planted]

    async def is_as_it_was(self, *, touched: bool = False) -> None:
        """Assert that nothing of the others has changed, nothing has failed, nothing is left, and work is done.

        *touched*: an attacker who looks after the tenant may have changed what is the tenant's.
        """
        for one, was, now in zip(self.planted, self.before, await self.pictures(), strict=True):
            assert now == was or (touched and one.mark == NEIGHBOURS)
        failures = [line for line in self.logged if line["event"] in FAILURES and line.get("code") not in NOT_SET_UP]
        assert not failures, failures
        counts = self.served.runtime.house.counts
        assert (counts.failed, counts.stuck) == (0, 0), counts
        told = [THEIRS, NEIGHBOURS, self.key, "eyJ"]  # a token begins with it
        assert [word for word in told if word in str(self.logged)] == []
        with anyio.fail_after(20):
            while await self.open_streams():
                await anyio.sleep(0.05)
        assert (await self.served.http.get(f"{self.served.url}/readyz")).json() == {
            "ready": True,
            "reasons": [],
            "degraded": [],
        }
        done = await bearing(self.served, self.token("user")).done("[[say:still here]]")
        assert done["result"] == "still here"

    async def open_streams(self) -> float:
        """Count the streams that the server believes to be open."""
        answer = await self.served.http.get(f"{self.served.url}/metrics")
        assert answer.status_code == 200, answer.text
        lines = [line for line in answer.text.splitlines() if line.startswith("agentcore_streams_open{")]
        assert lines, "the planted tasks were listened to, once"
        return sum(float(line.rpartition(" ")[2]) for line in lines)


@asynccontextmanager
async def guarded_ground(store: Store, leases: Leases, **more: Any) -> AsyncIterator[Ground]:
    """Open a server, and plant."""
    issuer = Issuer()
    async with serving(store, leases, jwt_settings(), keys=issuer.fetch, telemetry=figures(), **more) as served:
        planted = [
            await _planted(served, issuer.token(tenant_id=tenant, sub=mark, exp=int(time.time()) + DAY_S), mark)
            for tenant, mark in (("another", THEIRS), (TENANT, NEIGHBOURS))
        ]
        with structlog.testing.capture_logs() as logged:
            ground = Ground(served, issuer, planted, logged)
            ground.before = await ground.pictures()
            yield ground


async def _planted(served: Served, token: str, mark: str) -> Planted:
    owner = bearing(served, token)
    task = await owner.post(f"[[say:{mark}]] [[hang]]")
    await owner.said(task["taskId"], mark)
    await owner.call("PATCH", f"/sessions/{task['sessionId']}", {"title": mark})
    return Planted(owner, mark, task["sessionId"], task["taskId"])


def broken_tokens(issuer: Issuer) -> list[str | None]:
    """Return what might stand in ``Authorization`` and proves nobody; None: the header is not there."""
    head, good = {"typ": "at+jwt", "kid": "rsa"}, issuer.token(tenant_id=TENANT, sub=ATTACKER, roles=["admin"])
    first, claims, signature = good.split(".")
    tokens = [
        "", ".", "..", "null", "x" * 9000, good[:-1], good + "A", f"{first}.{claims}.", f"{first}..{signature}",
        f"{b64(b'[' * 3000)}.{claims}.{signature}", f"{b64(b'null')}.{claims}.{signature}", f"{good}.{signature}",
        issuer.token(exp=1), issuer.token(exp="x"), issuer.token(exp=10**30), issuer.token(aud=7), issuer.token(iss=[]),
        issuer.token(tenant_id=None), issuer.token(tenant_id={"a": 1}), issuer.token(sub="\ud800"),
        issuer.token(sub=""),
        issuer.token(key=STRANGER["rsa"]), issuer.token(key=STRANGER["rsa"], header={"kid": "nobody"}),
        raw_token(head | {"alg": "none"}, a_claims()),
        raw_token(head | {"alg": "HS256"}, a_claims(), public_pem("rsa")),
        raw_token(head | {"alg": ["RS256"]}, a_claims()), raw_token(head | {"alg": "RS256", "kid": []}, a_claims()),
        jwt.PyJWS().encode(json.dumps([1]).encode(), KEYS["rsa"], algorithm="RS256", headers=head),
        jwt.PyJWS().encode(b"\xff", KEYS["rsa"], algorithm="RS256", headers=head),
    ]  # fmt: skip
    return [None, f"Basic {good}", good, "Bearer", *(f"Bearer {token}" for token in tokens)]
