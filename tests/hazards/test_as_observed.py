"""Hazards as they were seen in the original: what engines and stores did there, said by script."""

from typing import Any

import anyio
import pytest
from tests.support.server import FINAL, Served

from agentcore.errors import StoreUnavailable
from agentcore.events import ApprovalRequired, Broke, Finished, TextDelta
from agentcore.ids import ApprovalId
from agentcore.testing.making import now
from agentcore.testing.scripted import Pause

pytestmark = pytest.mark.anyio
ASKED = ApprovalRequired(
    approval_id=ApprovalId("00000000-0000-4000-8000-000000000001"),
    tool_use_id="use-1",
    tool_name="rm",
    input={"path": "x"},
    expires_at=now().replace(year=2999),
)


async def test_S15_an_approval_asked_for_after_the_end_is_dropped(served: Served) -> None:
    served.engine.script = [TextDelta("done"), Finished(), Pause(0.05), ASKED]
    task = await served.done("x")
    for _ in range(20):
        assert (await served.task(task["id"]))["status"] == "completed"
        await anyio.sleep(0.01)  # until long after it would have asked


async def test_E6_what_follows_an_error_is_dropped(served: Served) -> None:
    served.engine.script = [TextDelta("half"), Broke(), Pause(0.05), TextDelta("late"), Broke(), Finished()]
    task = await served.done("x")
    await served.done("y")  # a second run of the same script, after which the first has said all it can
    types = [e["type"] for e in await served.log(task["sessionId"]) if e.get("taskId") == task["id"]]
    assert [kind for kind in types if kind in FINAL] == ["error"]
    assert types[-1] == "error"


async def test_S9_a_deleted_task_has_left_its_engine(served: Served) -> None:
    first = await served.done("hello")
    task = await served.post("[[hang]]", first["sessionId"], engineType="other")
    await served.said(task["taskId"], "You")
    await served.call("DELETE", f"/tasks/{task['taskId']}")
    assert served.other.runs[-1].is_over


@pytest.mark.parametrize("number", range(1, 6))
async def test_S21_each_write_fails_in_turn(served: Served, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    seen = 0

    def failing(write: Any) -> Any:
        async def written(*arguments: Any, **more: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == number:
                raise StoreUnavailable("gone")
            return await write(*arguments, **more)

        return written

    for port, name in ((served.runtime.store, "commit"), (served.runtime.house.leases, "submit")):
        monkeypatch.setattr(type(port), name, failing(getattr(type(port), name)))
    answer = await served.call("POST", "/tasks", {"prompt": "[[say:x]]"})
    if answer.status_code == 201:
        assert (await served.ended(answer.json()["taskId"]))["status"] == "completed"
    else:
        assert (await served.get("/sessions"))["items"] == []
