"""Where a remote agent lives."""

from datetime import timedelta

import pytest
from attrs import evolve

from agentcore.errors import InstanceNotRunning
from agentcore.ids import InstanceId
from agentcore.instances import Instance, InstanceStatus
from agentcore.testing.making import TENANT, now

AT = now()
HERE = Instance(
    id=InstanceId("i"), tenant_id=TENANT, owner="me", name="n", host="h", port=1, created_at=AT, updated_at=AT
)


def test_only_what_runs_and_lives_somewhere_can_be_asked() -> None:
    assert HERE.address == ("h", 1)
    for status in (InstanceStatus.STOPPED, InstanceStatus.ERROR):
        with pytest.raises(InstanceNotRunning, match=status.value):
            _ = evolve(HERE, status=status).address
    for nowhere in (evolve(HERE, host=None), evolve(HERE, port=None)):
        with pytest.raises(InstanceNotRunning, match="serverHost"):
            _ = nowhere.address


def test_a_change_touches_what_is_given() -> None:
    later = AT + timedelta(seconds=1)
    changed = HERE.changed(later, port=2, status=InstanceStatus.STOPPED)
    assert changed == evolve(HERE, port=2, status=InstanceStatus.STOPPED, updated_at=later, version=2)
    assert HERE.changed(later, name="", host="x") == evolve(HERE, name="", host="x", updated_at=later, version=2)
