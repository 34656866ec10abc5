"""Claude Code, the real program, against a provider that speaks its wire."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.claude import KEY, decided, is_there, made, program_for, touching

from agentcore.changes import Blob, Conversation
from agentcore.engine import EngineRequest
from agentcore.errors import EngineFailed
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    CallClosed,
    CallOpened,
    DecisionUsed,
    EngineEvent,
    Finished,
    Resumable,
    ResumeLost,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import MessageId
from agentcore.messages import FilePart, TextPart
from agentcore.policy import Policy, Rule
from agentcore.task import ErrorCode
from agentcore.testing.contracts import EngineContract
from agentcore.testing.contracts.engine import a_request
from agentcore.usage import Fidelity, Outcome
from agentcore_adapters.engines import claude_child
from agentcore_adapters.engines.claude_agent_sdk import ClaudeAgentSdk
from agentcore_adapters.engines.claude_code_cli import NAME, ClaudeCodeCli, ClaudeCodeRun
from agentcore_adapters.testing.provider import StubProvider

pytestmark = pytest.mark.anyio
CANARY = "canary-of-the-server"


@pytest.fixture(params=[ClaudeCodeCli, ClaudeAgentSdk])
def engine(request: pytest.FixtureRequest, provider: StubProvider, tmp_path: Path) -> ClaudeCodeCli:
    return made(request.param, provider, tmp_path)


async def answer(engine: ClaudeCodeCli, request: EngineRequest, *, allow: bool = True) -> list[EngineEvent]:
    """Hear an answer out; whoever is asked allows everything, or refuses it."""
    said: list[EngineEvent] = []
    async with engine.run(request) as run:
        async for event in run:
            said.append(event)
            if isinstance(event, ApprovalRequired):
                run.answer([decided(event, allow=allow)])
    return said


def text_of(said: list[EngineEvent]) -> str:
    return "".join(event.text for event in said if isinstance(event, TextDelta))


def conversation_of(said: list[EngineEvent]) -> Conversation:
    """Keep what a store would keep."""
    told = [event for event in said if isinstance(event, Resumable)]
    lines: tuple[str, ...] = ()
    for event in told:
        lines = lines[: event.start] + event.lines
    return Conversation(engine=NAME, reference=told[-1].reference, knows=MessageId("x"), lines=lines)


def following(request: EngineRequest, said: list[EngineEvent], *texts: str) -> EngineRequest:
    """Go on with the conversation of *request*, which does not know *texts* yet."""
    news = a_request(*texts)
    return evolve(
        news,
        session_id=request.session_id,
        messages=(*request.messages, *news.messages),
        untold=news.messages,
        resume=conversation_of(said),
        allowed_tools=request.allowed_tools,
    )


def asked(provider: StubProvider) -> str:
    """Return what the last request has shown the model, the program's own reminders apart."""
    return str([message for message in provider.calls[-1].body["messages"] if message["role"] != "system"])


class TestClaudeCode(EngineContract):
    PROMPT = "[[say:one two three]]"
    TOOL_PROMPT = '[[tool:Read:{"file_path": "/etc/hostname"}]] [[say:so]]'
    ASK_PROMPT = '[[tool:Bash:{"command": "true"}]] [[say:so]]'
    CALLS_AGAIN = True

    @pytest.fixture(autouse=True)
    def reading_is_free(self, engine: ClaudeCodeCli) -> None:
        engine.policy = Policy(rules={"Read": Rule.AUTO})


async def test_an_answer_is_streamed_and_billed(engine: ClaudeCodeCli, provider: StubProvider) -> None:
    said = await answer(engine, a_request("[[think]] [[say:one two three]]"))
    assert text_of(said) == "one two three"
    assert "".join(event.text for event in said if isinstance(event, ThinkingDelta)) == "Let me think."
    assert BlockEnded("c2lnbmVk") in said
    assert len([event for event in said if isinstance(event, TextDelta)]) == 3
    (closed,) = [event for event in said if isinstance(event, CallClosed)]
    usage = closed.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens) == (35, 42, 7)
    assert (usage.cache_write_input_tokens, usage.fidelity) == (3, Fidelity.EXACT)
    assert usage.cost_usd
    assert closed.provider_message_id == "msg_1"
    assert said[-1] == Finished()
    body = provider.calls[-1].body
    assert "Be brief." in str(body["system"])
    assert provider.calls[-1].headers["x-api-key"] == KEY
    assert [call.path for call in provider.calls] == ["/v1/messages?beta=true"]


async def test_a_conversation_is_taken_up_anywhere(
    engine: ClaudeCodeCli, provider: StubProvider, tmp_path: Path
) -> None:
    request = a_request("first [[say:answered]]")
    said = await answer(engine, request)
    assert not list((tmp_path / request.session_id).rglob("*.jsonl"))  # nothing lies around
    elsewhere = type(engine)(program_for(provider, tmp_path / "another node"))
    second = evolve(following(request, said, "second [[say:again]]"), system_prompt="Be long.")
    more = await answer(elsewhere, second)
    assert text_of(more) == "again"
    shown = asked(provider)
    assert [shown.count(words) for words in ("first", "'answered'", "second")] == [1, 1, 1]
    assert "Be long." in str(provider.calls[-1].body["system"])
    assert "Be brief." not in str(provider.calls[-1].body)
    assert not [event for event in more if isinstance(event, ResumeLost)]
    third = following(request, [*said, *more], "by another", "engine", "third [[say:x]]")
    await answer(engine, third)
    shown = asked(provider)
    for words in ("first", "'answered'", "second", "'again'", "by another", "Assistant: engine", "third"):
        assert shown.count(words) == 1, words


async def test_a_lost_conversation_is_replaced_by_the_history(engine: ClaudeCodeCli, provider: StubProvider) -> None:
    request = a_request("first [[say:answered]]", "answered")
    said = await answer(engine, evolve(request, messages=request.messages[:1]))
    lost = following(request, said, "second [[say:again]]")
    assert lost.resume is not None
    for lines in ((), ("{}",)):
        provider.calls.clear()
        said = await answer(engine, evolve(lost, resume=evolve(lost.resume, lines=lines)))
        assert text_of(said) == "again"
        assert ResumeLost(engine.name) in said
        shown = asked(provider)
        assert [shown.count(words) for words in ("User: first", "Assistant: answered", "second")] == [1, 1, 1]
        assert conversation_of(said).lines  # a new one has begun
        assert next(event for event in said if isinstance(event, Resumable)).start == 0


async def test_a_tool_runs_when_it_is_allowed(engine: ClaudeCodeCli, tmp_path: Path) -> None:
    request = touching("it")
    said = await answer(engine, request)
    assert (engine.program.workplace(request.session_id) / "it").exists()
    kinds = [type(event) for event in said if isinstance(event, ToolUse | ApprovalRequired | ToolResult)]
    assert kinds == [ToolUse, ApprovalRequired, ToolResult]
    use, ask, result = (event for event in said if isinstance(event, ToolUse | ApprovalRequired | ToolResult))
    assert isinstance(use, ToolUse)
    assert isinstance(ask, ApprovalRequired)
    assert isinstance(result, ToolResult)
    assert use.tool_use_id == ask.tool_use_id == result.tool_use_id
    assert ask.input == {"command": "touch it"}
    assert len([event for event in said if isinstance(event, CallClosed)]) == 2
    assert isinstance(said[-1], Finished)


async def test_a_tool_does_not_run_when_it_is_refused(engine: ClaudeCodeCli, provider: StubProvider) -> None:
    request = touching("it")
    said = await answer(engine, request, allow=False)
    assert not (engine.program.workplace(request.session_id) / "it").exists()
    (result,) = [event for event in said if isinstance(event, ToolResult)]
    assert result.is_error
    assert "did not allow" in result.output
    assert "not today" in result.output
    assert isinstance(said[-1], Finished)


async def test_parallel_calls_are_decided_one_by_one(engine: ClaudeCodeCli) -> None:
    text = '[[tool:Bash:{"command":"touch a"}]] [[tool:Bash:{"command":"touch b"}]] [[say:.]]'
    request = evolve(a_request(text), allowed_tools=("Bash",))
    async with engine.run(request) as run:
        async for event in run:
            if isinstance(event, ApprovalRequired):
                run.answer([decided(event, allow=event.input["command"].endswith("b"))])
    place = engine.program.workplace(request.session_id)
    assert [(place / name).exists() for name in "ab"] == [False, True]


async def test_what_was_allowed_is_bound_to_what_was_shown(engine: ClaudeCodeCli) -> None:
    request = touching("it")
    async with engine.run(request) as run:
        async for event in run:
            if isinstance(event, ApprovalRequired):
                run.answer([evolve(decided(event), input_sha256="0" * 64)])
    assert not (engine.program.workplace(request.session_id) / "it").exists()


async def test_even_harmless_tools_are_asked_about_and_rules_are_kept(engine: ClaudeCodeCli) -> None:
    place = '[[tool:Read:{"file_path":"notes.txt"}]] [[say:.]]'
    request = evolve(a_request(place), allowed_tools=("Read",))
    (engine.program.workplace(request.session_id) / "notes.txt").write_text("what was noted")
    said = await answer(engine, request)
    assert [type(event) for event in said].count(ApprovalRequired) == 1
    engine.policy = Policy(default=Rule.AUTO)
    said = await answer(engine, evolve(request, session_id=a_request("x").session_id))
    assert [type(event) for event in said].count(ApprovalRequired) == 0
    engine.policy = Policy(default=Rule.DENY)
    said = await answer(engine, evolve(request, session_id=a_request("x").session_id))
    (result,) = [event for event in said if isinstance(event, ToolResult)]
    assert result.is_error
    assert "forbid" in result.output


async def test_tools_that_are_not_named_do_not_exist(engine: ClaudeCodeCli, provider: StubProvider) -> None:
    await answer(engine, evolve(a_request("[[say:x]]"), allowed_tools=()))
    assert [tool["name"] for tool in provider.calls[-1].body.get("tools", [])] == []
    await answer(engine, evolve(a_request("[[say:x]]"), allowed_tools=("Read", "--model=x", "srv.tool")))
    named = {tool["name"] for tool in provider.calls[-1].body["tools"]}
    assert "Read" in named
    assert "Bash" not in named


async def test_a_decision_made_meanwhile_is_used_once(engine: ClaudeCodeCli, provider: StubProvider) -> None:
    request = touching("it", more="[[insist]]")
    said: list[EngineEvent] = []
    async with engine.run(request) as run:
        with anyio.move_on_after(
            10
        ):  # what can be resumed may have been said before it asked, and then no more is said
            async for event in run:
                said.append(event)
                if isinstance(event, Resumable) and any(isinstance(event, ApprovalRequired) for event in said):
                    break  # the node is lost while it waits
    (ask,) = [event for event in said if isinstance(event, ApprovalRequired)]
    assert not (engine.program.workplace(request.session_id) / "it").exists()
    resumed = evolve(following(request, said), untold=(), messages=request.messages, decisions=(decided(ask),))
    more = await answer(engine, evolve(resumed, task_id=request.task_id))
    assert (engine.program.workplace(request.session_id) / "it").exists()
    assert DecisionUsed(ask.approval_id) in more
    assert not [event for event in more if isinstance(event, ApprovalRequired)]
    assert isinstance(more[-1], Finished)


@pytest.mark.parametrize(
    ("marker", "code"),
    [
        ("[[http:401]]", ErrorCode.ENGINE_AUTH),
        ("[[http:529]]", ErrorCode.ENGINE_OVERLOADED),
        ("[[http:500]]", ErrorCode.ENGINE_UNAVAILABLE),
        ("[[overflow]]", ErrorCode.CONTEXT_TOO_LARGE),
    ],
)
async def test_a_refusal_has_its_code(
    engine: ClaudeCodeCli, marker: str, code: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(claude_child.FIXED, "CLAUDE_CODE_MAX_RETRIES", "0")
    said: list[EngineEvent] = []
    with pytest.raises(EngineFailed) as failed:
        async with engine.run(a_request(marker)) as run:
            async for event in run:
                said.append(event)  # noqa: PERF401 - what came before the failure is looked at
    assert failed.value.error_code == code
    assert not {"secret", "127.0.0.1"} & set(str(failed.value).split())
    assert not text_of(said)
    (closed,) = [event for event in said if isinstance(event, CallClosed)]
    assert (closed.usage.total_tokens, closed.outcome) == (0, Outcome.FAILED)


async def test_a_stream_that_breaks_is_billed_by_estimate(engine: ClaudeCodeCli) -> None:
    said: list[EngineEvent] = []
    with pytest.raises(EngineFailed) as failed:
        async with engine.run(a_request("[[say:one two three]] [[slow:0.05]] [[err_mid]]")) as run:
            async for event in run:
                said.append(event)  # noqa: PERF401 - what came before the failure is looked at
    assert failed.value.error_code == ErrorCode.ENGINE_OVERLOADED
    assert text_of(said) in {"one ", ""}
    assert "secret" not in text_of(said)
    closed = [event for event in said if isinstance(event, CallClosed)]
    assert {event.outcome for event in closed} == {Outcome.FAILED}


async def test_turns_are_limited(engine: ClaudeCodeCli) -> None:
    request = evolve(a_request('[[tool:Bash:{"command":"true"}]] [[loop]]'), allowed_tools=("Bash",), max_turns=2)
    with pytest.raises(EngineFailed) as failed:
        await answer(engine, request)
    assert failed.value.error_code == ErrorCode.MAX_TURNS


async def test_a_picture_reaches_the_provider(engine: ClaudeCodeCli, provider: StubProvider) -> None:
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
        "78da63f8cfc000000301010018dd8db00000000049454e44ae426082"
    )
    request = a_request("x")
    part = FilePart(media_type="image/png", sha256="00", size=len(png))
    message = evolve(request.messages[0], parts=(part, TextPart("look [[say:seen]]")))
    blob = Blob(sha256="00", media_type="image/png", data=png)
    assert text_of(await answer(engine, evolve(request, messages=(message,), blobs={"00": blob}))) == "seen"
    assert "image/png" in asked(provider)


async def until_acting(engine: ClaudeCodeCli, run: ClaudeCodeRun, place: Path) -> None:
    """Hear a run until its tool is at work."""
    async for event in run:
        if isinstance(event, ApprovalRequired):
            run.answer([decided(event)])
            with anyio.fail_after(10):
                while not (place / "pid").exists() or not (place / "pid").read_text().strip():
                    await anyio.sleep(0.005)
            return


def working(**more: Any) -> EngineRequest:
    text = '[[tool:Bash:{"command":"echo $$ > pid; tail -f /dev/null; true"}]] [[say:.]]'
    return evolve(a_request(text), allowed_tools=("Bash",), **more)


@pytest.mark.parametrize("how", ["left", "interrupted"])
async def test_no_process_stays_behind(engine: ClaudeCodeCli, how: str) -> None:
    request = working()
    place = engine.program.workplace(request.session_id)
    with anyio.fail_after(15):
        async with engine.run(request) as run:
            await until_acting(engine, run, place)
            assert run.child is not None
            mark, child = run.child.mark, run.child.process.pid
            tool = int((place / "pid").read_text())
            assert is_there(tool)
            began = anyio.current_time()
            if how == "interrupted":
                run.interrupt()
                assert not [e async for e in run if isinstance(e, Finished | Resumable)]
        assert anyio.current_time() - began < 4.0
    assert not is_there(tool)
    assert not is_there(child)
    assert claude_child.kill_marked(mark) == 0


async def test_what_ignores_being_told_is_killed(engine: ClaudeCodeCli) -> None:
    request = working()
    place = engine.program.workplace(request.session_id)
    with anyio.fail_after(15):
        async with engine.run(request) as run:
            await until_acting(engine, run, place)
            assert run.child is not None
            os.kill(run.child.process.pid, signal.SIGSTOP)  # it hears nothing any more
            child, tool = run.child.process.pid, int((place / "pid").read_text())
    assert not is_there(child)
    assert not is_there(tool)


async def test_the_tools_see_neither_the_key_nor_the_server(
    engine: ClaudeCodeCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", CANARY)
    text = '[[tool:Bash:{"command":"sh look.sh"}]] [[say:.]] [[after:done]]'
    request = evolve(a_request(text), allowed_tools=("Bash",))
    script = "env; cat /proc/$CLAUDE_PID/environ; grep -raE 'sk-ant|canary' $HOME $CLAUDE_CONFIG_DIR; echo looked"
    (engine.program.workplace(request.session_id) / "look.sh").write_text(script)
    said = await answer(engine, request)
    (result,) = [event for event in said if isinstance(event, ToolResult)]
    assert "looked" in result.output
    assert "ANTHROPIC_BASE_URL" in result.output
    assert KEY not in result.output
    assert CANARY not in result.output


OWNER = """
import asyncio, sys
from pathlib import Path
from agentcore_adapters.engines.claude_child import Program, running
from uuid import uuid4
async def main():
    program = Program(binary=Path(sys.argv[1]), folder=Path(sys.argv[2]), api_key="k", base_url="http://127.0.0.1:1")
    options = ["-p", "--output-format", "stream-json", "--input-format", "stream-json", "--verbose"]
    async with running(program, str(uuid4()), options, None) as child:
        print(child.process.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_it_dies_with_its_owner(engine: ClaudeCodeCli, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(engine.program.binary), str(tmp_path / "owner")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(await anyio.to_thread.run_sync(owner.stdout.readline))
        assert is_there(pid)
        owner.kill()
    with anyio.fail_after(5):
        while is_there(pid):
            await anyio.sleep(0.01)


async def test_nothing_is_sent_before_the_call_is_on_record(engine: ClaudeCodeCli, provider: StubProvider) -> None:
    async with engine.run(a_request("[[say:x]]")) as run:
        events: AsyncIterator[EngineEvent] = aiter(run)
        assert isinstance(await anext(events), CallOpened)
        await anyio.sleep(0.3)
        assert not provider.calls
        with anyio.fail_after(30):  # what can be resumed may be said before
            while not provider.calls:
                await anext(events)
