"""Who asks.

Law: identity is decided once, at the edge, and passed inwards as this value; nothing below reads a header.
"""

from enum import StrEnum

from attrs import frozen

from agentcore.errors import RoleRequired
from agentcore.ids import TenantId


class Role(StrEnum):
    """What a caller may do beyond looking at its own."""

    VIEWER = "viewer"
    MEMBER = "member"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"


@frozen(kw_only=True)
class Caller:
    """A person or a service on whose behalf something is asked."""

    tenant_id: TenantId
    subject: str  #: The user, unique within the tenant.
    email: str | None = None  #: As the identity provider says; shown to the engine, escaped.
    roles: frozenset[Role] = frozenset(Role)

    def needs(self, role: Role) -> None:
        """Raise RoleRequired unless the caller has *role*."""
        if role not in self.roles:
            raise RoleRequired(f"This needs the role {role.value}.")
