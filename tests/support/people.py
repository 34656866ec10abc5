"""People with roles, in mode ``none``: there everybody has all, unless a header of the tests says which."""

from collections.abc import Iterable

import pytest
from attrs import evolve

from agentcore.caller import Role
from agentcore_http.auth.identity import Headers, Identity
from agentcore_http.auth.none import Trusting
from tests.support.server import Served

ROLES = "x-test-roles"
EVERYTHING = tuple(Role)
VIEWER = (Role.VIEWER,)
MEMBER = (Role.VIEWER, Role.MEMBER)
APPROVER = (Role.VIEWER, Role.MEMBER, Role.APPROVER)
OPERATOR = (Role.VIEWER, Role.MEMBER, Role.OPERATOR)
DECIDING_OPERATOR = (*APPROVER, Role.OPERATOR)


def roles_by_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request say which roles its caller has."""
    believed = Trusting.identify

    async def identify(self: Trusting, headers: Headers) -> Identity:
        found, said = await believed(self, headers), headers.get(ROLES)
        roles = found.caller.roles if said is None else frozenset(Role(word) for word in said.split())
        return evolve(found, caller=evolve(found.caller, roles=roles))

    monkeypatch.setattr(Trusting, "identify", identify)


def someone(served: Served, subject: str, roles: Iterable[Role] = MEMBER, tenant: str = "acme") -> Served:
    """Return hands that act as a person with these roles and no others."""
    headers = {"X-Tenant-Id": tenant, "X-User-Id": subject, ROLES: " ".join(roles)}
    return Served(served.url, served.runtime, served.engine, served.other, served.http, headers)
