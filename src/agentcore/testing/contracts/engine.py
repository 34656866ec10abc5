"""What every Engine promises."""

import anyio
import pytest

from agentcore.errors import EngineFailed
from agentcore.events import Broke, CallClosed, CallOpened, EngineEvent, Finished, TextDelta
from agentcore.ids import MessageId, SessionId, TaskId
from agentcore.messages import Message, Role, TextPart
from agentcore.ports import Engine, EngineRequest
from agentcore.testing.making import an_id, now

STOP_S = 5.0


def a_request(*texts: str) -> EngineRequest:
    """Make a request of a conversation: user, assistant, user, ..."""
    task_id = TaskId(an_id())
    messages = tuple(
        Message(
            id=MessageId(f"{task_id}.{i}"),
            task_id=task_id,
            role=Role.ASSISTANT if i % 2 else Role.USER,
            parts=(TextPart(text),),
            at=now(),
        )
        for i, text in enumerate(texts)
    )
    return EngineRequest(
        session_id=SessionId(an_id()),
        task_id=task_id,
        attempt=1,
        system_prompt="Be brief.",
        messages=messages,
        blobs={},
        max_turns=10,
        allowed_tools=(),
        model=None,
    )


class EngineContract:
    """Give it a fixture ``engine``, and override ``PROMPT`` if it needs another."""

    pytestmark = pytest.mark.anyio
    PROMPT = "Say hello."

    async def test_an_answer_ends_once_and_says_something(self, engine: Engine) -> None:
        said = await self._all(engine)
        ends = [event for event in said if isinstance(event, Finished | Broke)]
        assert ends == [said[-1]]
        text = "".join(event.text for event in said if isinstance(event, TextDelta))
        assert text or (isinstance(said[-1], Finished) and said[-1].summary)

    async def test_each_call_is_opened_then_closed(self, engine: Engine) -> None:
        calls = [event for event in await self._all(engine) if isinstance(event, CallOpened | CallClosed)]
        assert [type(event) for event in calls] == [CallOpened, CallClosed] * (len(calls) // 2)
        if engine.abilities.usage:
            assert calls

    async def test_leaving_early_stops_it(self, engine: Engine) -> None:
        with anyio.fail_after(STOP_S):
            async with engine.run(a_request(self.PROMPT)) as run:
                async for event in run:
                    if isinstance(event, TextDelta):
                        break

    async def test_being_cancelled_stops_it(self, engine: Engine) -> None:
        with anyio.fail_after(STOP_S), anyio.CancelScope() as scope:
            async with engine.run(a_request(self.PROMPT)) as run:
                async for event in run:
                    if isinstance(event, TextDelta):
                        scope.cancel()
        assert scope.cancelled_caught or scope.cancel_called

    async def test_two_answers_at_once_do_not_mix(self, engine: Engine) -> None:
        alone = await self._all(engine)
        found: list[list[EngineEvent]] = []

        async def one() -> None:
            found.append(await self._all(engine))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
        texts = ["".join(e.text for e in said if isinstance(e, TextDelta)) for said in (alone, *found)]
        assert texts[1] == texts[2] == texts[0]

    async def _all(self, engine: Engine) -> list[EngineEvent]:
        said: list[EngineEvent] = []
        try:
            async with engine.run(a_request(self.PROMPT)) as run:
                said.extend([event async for event in run])
        except EngineFailed as error:  # an engine may end so, but not in this suite
            raise AssertionError(f"the engine failed: {error}") from error
        return said
