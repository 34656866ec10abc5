"""What a role allows."""

import pytest

from agentcore.caller import Caller, Role
from agentcore.errors import RoleRequired
from agentcore.ids import TenantId

GRANTED = {
    Role.VIEWER: {Role.VIEWER},
    Role.MEMBER: {Role.MEMBER, Role.VIEWER},
    Role.APPROVER: {Role.APPROVER, Role.VIEWER},
    Role.OPERATOR: {Role.OPERATOR, Role.MEMBER, Role.VIEWER},
    Role.ADMIN: set(Role),
}


@pytest.mark.parametrize("role", Role)
def test_a_role_brings_others_with_it(role: Role) -> None:
    caller = Caller(tenant_id=TenantId("t"), subject="s", roles=frozenset({role}))
    assert caller.granted == GRANTED[role]
    for wanted in Role:
        if wanted in GRANTED[role]:
            caller.needs(wanted)
        else:
            with pytest.raises(RoleRequired, match=wanted.value):
                caller.needs(wanted)


def test_who_has_no_role_may_nothing_and_two_add_up() -> None:
    assert Caller(tenant_id=TenantId("t"), subject="s", roles=frozenset()).granted == frozenset()
    both = Caller(tenant_id=TenantId("t"), subject="s", roles=frozenset({Role.APPROVER, Role.MEMBER}))
    assert both.granted == {Role.APPROVER, Role.MEMBER, Role.VIEWER}
