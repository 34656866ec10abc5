"""Who asks.

Law: identity is decided once, at the edge, and passed inwards as this value; nothing below reads a header.
"""

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen

from agentcore.errors import RoleRequired
from agentcore.ids import TenantId


class Role(StrEnum):
    """What a caller may do."""

    VIEWER = "viewer"  #: Look.
    MEMBER = "member"  #: Ask for work.
    APPROVER = "approver"  #: Decide what tasks wait for; who decides need not be one who asks.
    OPERATOR = "operator"  #: Look after what others of the tenant do.
    ADMIN = "admin"


# Whoever has a role has those in its row, too.
IMPLIES: Mapping[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset(),
    Role.MEMBER: frozenset({Role.VIEWER}),
    Role.APPROVER: frozenset({Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.MEMBER, Role.VIEWER}),
    Role.ADMIN: frozenset(Role),
}
DEFAULT_ROLES = frozenset({Role.VIEWER, Role.MEMBER})  # of a person of whom nobody says what they may do


@frozen(kw_only=True)
class Caller:
    """A person or a service on whose behalf something is asked."""

    tenant_id: TenantId
    subject: str  #: The user, unique within the tenant.
    email: str | None = None  #: As the identity provider says; shown to the engine, escaped.
    roles: frozenset[Role] = frozenset(Role)

    @property
    def granted(self) -> frozenset[Role]:
        """The roles that the caller has, and those that come with them."""
        return self.roles.union(*(IMPLIES[role] for role in self.roles))

    def needs(self, role: Role) -> None:
        """Raise RoleRequired unless the caller has *role*, or one that it comes with."""
        if role not in self.granted:
            raise RoleRequired(f"This needs the role {role.value}.")
