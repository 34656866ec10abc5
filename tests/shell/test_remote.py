"""The registry of remote agents: where they may live, and what a change of one says."""

import pytest
from attrs import evolve
from tests.support.node import ME, Node, a_node

from agentcore.errors import HostNotAllowed, InvalidRequest
from agentcore.instances import InstanceStatus
from agentcore.remote import Remote, Told

pytestmark = pytest.mark.anyio
node = a_node
HERE = Told(name="claw", host="Here.example", port=1)


class Some:
    """Hosts of which two ports of one are allowed."""

    def __init__(self) -> None:
        self.allowed = {("here.example", 1), ("here.example", 2), ("there.example", 1)}

    def admit(self, host: str, port: int) -> str:
        if (host.lower(), port) not in self.allowed:
            raise HostNotAllowed("It is not on the list.", "serverHost")
        return host.lower()


@pytest.fixture
def remote(node: Node) -> Remote:
    return evolve(node.runtime.remote, hosts=Some())


async def test_a_host_is_allowed_with_its_port(remote: Remote) -> None:
    made = await remote.add(ME, HERE)
    assert (made.host, made.port, made.owner) == ("here.example", 1, "me")
    with pytest.raises(HostNotAllowed):
        await remote.add(ME, evolve(HERE, port=3))
    with pytest.raises(InvalidRequest, match="hostPort"):
        await remote.add(ME, evolve(HERE, port=None))
    assert (await remote.add(ME, Told(port=3))).host is None  # it is nowhere yet


async def test_a_change_is_what_is_said_and_no_more(remote: Remote) -> None:
    made = await remote.add(ME, HERE)
    changed = await remote.change(ME, made.id, Told(name="another"))
    assert (changed.name, changed.host, changed.port, changed.version) == ("another", "here.example", 1, 2)
    changed = await remote.change(ME, made.id, Told(port=2))
    assert (changed.host, changed.port) == ("here.example", 2)
    changed = await remote.change(ME, made.id, Told(host="There.example", port=1))
    assert (changed.host, changed.port) == ("there.example", 1)


@pytest.mark.parametrize("told", [Told(port=3), Told(host="elsewhere.example"), Told(host="there.example", port=2)])
async def test_a_change_leads_nowhere_else(remote: Remote, told: Told) -> None:
    made = await remote.add(ME, HERE)
    with pytest.raises(HostNotAllowed):
        await remote.change(ME, made.id, told)
    assert await remote.instance(ME, made.id) == made


async def test_what_may_not_be_reached_any_more_can_still_be_stopped(remote: Remote) -> None:
    made = await remote.add(ME, HERE)
    remote.hosts.allowed.clear()  # type: ignore[attr-defined]
    assert (await remote.change(ME, made.id, Told(status=InstanceStatus.STOPPED))).status is InstanceStatus.STOPPED
