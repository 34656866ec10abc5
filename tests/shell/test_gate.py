"""The gate: who waits is begun in order, and nobody is asked in vain."""

import anyio
import pytest

from agentcore.gate import ASKED_AGAIN_S, Call, Gate
from agentcore.ids import SessionId, TenantId

pytestmark = pytest.mark.anyio
A, B = TenantId("a"), TenantId("b")
ONE, TWO = SessionId("1"), SessionId("2")


async def nobody_is_called(gate: Gate) -> bool:
    with anyio.move_on_after(0.02):
        await gate.next_call()
        return False
    return True


async def test_where_nobody_waits_everybody_may_come() -> None:
    gate = Gate(most=3)
    assert all(gate.enter(A, ONE) for _ in range(3))
    gate.leave(A)
    assert gate.driven == 2
    assert await nobody_is_called(gate)


async def test_a_full_node_calls_when_a_place_is_free() -> None:
    gate = Gate(most=1)
    assert gate.enter(A, ONE)
    assert not gate.enter(B, TWO)
    assert await nobody_is_called(gate)
    gate.leave(A)
    assert await gate.next_call() == [Call(places=1, tenant=None)]
    assert not gate.enter(A, ONE)  # it was not its turn
    with gate.call(TWO):
        assert gate.enter(B, TWO)
    gate.answer(Call(places=1, tenant=None), 1, more=False)
    gate.leave(B)
    assert gate.enter(A, ONE)


async def test_a_tenant_at_its_limit_waits_in_line_and_others_do_not() -> None:
    gate = Gate()
    assert gate.enter(A, ONE)
    with gate.asking(A) as hold:
        hold()
    gate.turn_back()
    assert await nobody_is_called(gate)  # nothing has ended: nobody is asked again
    assert gate.enter(B, TWO)
    gate.leave(B)
    assert await nobody_is_called(gate)
    assert gate.enter(A, ONE) is False  # it comes after who waits
    assert await nobody_is_called(gate)  # it was full a moment ago
    await anyio.sleep(ASKED_AGAIN_S)
    assert gate.enter(A, ONE) is False
    assert await gate.next_call() == [Call(places=1, tenant=A)]
    gate.answer(Call(places=1, tenant=A), 1, more=True)
    with gate.call(ONE):
        assert gate.enter(A, ONE)
    gate.leave(A)
    gate.driven += 1
    gate.leave(A)
    assert await gate.next_call() == [Call(places=2, tenant=A)]
    gate.answer(Call(places=2, tenant=A), 2, more=False)
    assert gate.enter(A, TWO)


async def test_what_ends_while_the_store_is_asked_is_not_missed() -> None:
    gate = Gate()
    assert gate.enter(A, ONE)
    assert gate.enter(A, TWO)
    with gate.asking(A) as hold:
        gate.leave(A)
        hold()
    gate.turn_back()
    assert await gate.next_call() == [Call(places=1, tenant=A)]
    assert gate.driven == 0
