"""Claude Code under the whole runtime: what it remembers, what a decision is worth after a crash, what it leaves."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.support.claude import is_there, made, program_for
from tests.support.database import Server
from tests.support.server import QUICK

from agentcore.admission import OnBusy
from agentcore.approval import OnReject
from agentcore.asking import Ask
from agentcore.caller import Caller
from agentcore.commands import Decide
from agentcore.events import ResumeLost
from agentcore.ids import EngineName, NodeId, SessionId, TaskId
from agentcore.node import open_runtime
from agentcore.ports import Leases, Store, TaskView
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.task import ApprovalRequested, TaskStatus
from agentcore.testing.making import TENANT, an_id
from agentcore.testing.scripted import ScriptedEngine
from agentcore_adapters.engines import claude_child
from agentcore_adapters.engines.catalog import Catalog, Listing
from agentcore_adapters.engines.claude_agent_sdk import ClaudeAgentSdk
from agentcore_adapters.engines.claude_code_cli import NAME, ClaudeCodeCli, ClaudeCodeRun
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.postgres.store import postgres_store
from agentcore_adapters.testing.provider import StubProvider

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]
CALLER = Caller(tenant_id=TENANT, subject="somebody")
TOUCH = '[[tool:Bash:{"command":"touch it"}]] [[say:.]] [[after:done]] [[insist]]'


class Talking:
    """A node, and hands to talk to it."""

    def __init__(self, runtime: Runtime, store: Store, engine: ClaudeCodeCli) -> None:
        self.runtime, self.store, self.engine = runtime, store, engine

    async def ask(self, text: str, session: SessionId | None = None, engine: str = NAME) -> TaskId:
        ask = Ask(text=text, engine=EngineName(engine), allowed_tools=("Bash",))
        return (await self.runtime.execute(CALLER, ask, session_id=session, on_busy=OnBusy.ENQUEUE)).task_id

    async def until(self, task_id: TaskId, test: Callable[[TaskView], bool]) -> TaskView:
        with anyio.fail_after(30):
            while not test(view := await self.store.task(TENANT, task_id)):
                await anyio.sleep(0.01)
        return view

    async def done(self, text: str, session: SessionId | None = None, engine: str = NAME) -> TaskView:
        task_id = await self.ask(text, session, engine)
        view = await self.until(task_id, lambda view: view.task.is_final)
        assert view.task.status is TaskStatus.COMPLETED, view.task
        return view

    async def asked(self, task_id: TaskId) -> TaskView:
        waiting = TaskStatus.AWAITING_APPROVAL  # both: a view's task and approvals are two readings
        return await self.until(task_id, lambda view: view.task.status is waiting and bool(view.approvals))

    async def decide(self, task_id: TaskId, *, approved: bool = True) -> None:
        await self.runtime.decide(
            CALLER, task_id, Decide(approved=approved, by="somebody", on_reject=OnReject.CONTINUE, reason="not today")
        )

    def place(self, session: SessionId) -> Path:
        return self.engine.program.workplace(session)


@asynccontextmanager
async def a_node(
    stores: Stores, provider: StubProvider, folder: Path, name: str = "n1", kind: type[ClaudeCodeCli] = ClaudeCodeCli
) -> AsyncIterator[Talking]:
    store, leases = stores
    engine = made(kind, provider, folder / name)
    engine.name = NAME
    other = Another(name=EngineName("other"))
    listings = [Listing(name=NAME, engine=engine), Listing(name=other.name, engine=other)]
    async with open_runtime(
        store=store,
        leases=leases,
        bus=MemoryBus(),
        engines=Catalog(listings),
        clock=SystemClock(),
        node=NodeId(name),
        new_id=an_id,
        seal=Seal(b"k" * 32),
        periods=QUICK,
        drain_s=0.05,
    ) as runtime:
        yield Talking(runtime, store, engine)


class Another(ScriptedEngine):
    """An engine that holds nothing."""

    async def close(self) -> None:
        return


def shown(provider: StubProvider) -> str:
    return str([message for message in provider.calls[-1].body["messages"] if message["role"] != "system"])


async def test_I7_each_message_reaches_it_once(stores: Stores, provider: StubProvider, tmp_path: Path) -> None:
    """Through three nodes, with another engine's turn in between and one that was cut short."""
    async with a_node(stores, provider, tmp_path) as node:
        first = await node.done("alpha [[say:one]]")
        session = first.task.session_id
        assert first.usage.output_tokens == 42
    async with a_node(stores, provider, tmp_path, "n2") as node:
        await node.done("beta [[say:two]]", session)
        await node.done("gamma [[say:three]]", session, engine="other")
        cut = await node.ask("delta [[words:500]] [[slow:0.02]]", session)
        await said(node.runtime, cut)
        view, _ = await node.runtime.cancel(CALLER, cut, wait_s=5.0)
        assert view.task.status is TaskStatus.CANCELLED
        provider.calls.clear()
    async with a_node(stores, provider, tmp_path, "n3") as node:
        await node.done("epsilon [[say:five]]", session)
    text = shown(provider)
    for words in ("alpha", "'one'", "beta", "'two'", "gamma", "Assistant: three", "delta", "w0 ", "中断", "epsilon"):
        assert text.count(words) == 1, (words, text.count(words))
    assert "doesn't want" not in text


async def test_C7_a_lost_conversation_is_named_in_the_log(
    stores: Stores, provider: StubProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_node(stores, provider, tmp_path) as node:
        session = (await node.done("alpha [[say:one]]")).task.session_id
        monkeypatch.setattr(claude_child, "_write_transcript", lambda *_: None)
        await node.done("beta [[say:two]]", session)
        log = (await node.store.log(TENANT, session, 1, 1000)).entries
        assert [entry.event for entry in log if isinstance(entry.event, ResumeLost)] == [ResumeLost(NAME)]
        text = shown(provider)
        assert [text.count(words) for words in ("User: alpha", "Assistant: one", "beta")] == [1, 1, 1]
        monkeypatch.undo()
        await node.done("gamma [[say:three]]", session)  # the new conversation goes on
        text = shown(provider)
        assert [text.count(words) for words in ("User: alpha", "beta", "'two'", "gamma")] == [1, 1, 1, 1]


@pytest.mark.parametrize("approved", [True, False])
async def test_P6_a_decision_is_given_to_the_stream_that_waits(
    stores: Stores, provider: StubProvider, tmp_path: Path, *, approved: bool
) -> None:
    async with a_node(stores, provider, tmp_path) as node:
        task_id = await node.ask(TOUCH.replace("[[insist]]", ""))
        view = await node.asked(task_id)
        assert view.task.status is TaskStatus.AWAITING_APPROVAL
        await node.decide(task_id, approved=approved)
        view = await node.until(task_id, lambda view: view.task.is_final)
        assert view.task.status is TaskStatus.COMPLETED
        assert view.task.attempt == 1
        assert (node.place(view.task.session_id) / "it").exists() is approved


@pytest.mark.parametrize("kind", [ClaudeCodeCli, ClaudeAgentSdk])
async def test_P8_an_approval_survives_an_orderly_restart(
    stores: Stores, provider: StubProvider, tmp_path: Path, kind: type[ClaudeCodeCli]
) -> None:
    async with a_node(stores, provider, tmp_path, kind=kind) as node:
        task_id = await node.ask(TOUCH)
        await node.asked(task_id)
    view = await stores[0].task(TENANT, task_id)
    assert view.task.status is TaskStatus.AWAITING_APPROVAL
    assert not view.task.driven
    async with a_node(stores, provider, tmp_path, "n2", kind) as node:
        await node.decide(task_id)
        view = await node.until(task_id, lambda view: view.task.is_final)
        assert view.task.status is TaskStatus.COMPLETED
        assert (node.place(view.task.session_id) / "it").exists()
        log = (await node.store.log(TENANT, view.task.session_id, 1, 1000)).entries
        assert len([entry for entry in log if isinstance(entry.event, ApprovalRequested)]) == 1
        assert "doesn't want" not in shown(provider)


@pytest.mark.parametrize("kind", [ClaudeCodeCli, ClaudeAgentSdk])
async def test_S11_cancel_leaves_nothing_behind(
    stores: Stores, provider: StubProvider, tmp_path: Path, kind: type[ClaudeCodeCli]
) -> None:
    async with a_node(stores, provider, tmp_path, kind=kind) as node:
        task_id = await node.ask('[[tool:Bash:{"command":"echo $$ > pid; tail -f /dev/null; true"}]] [[say:.]]')
        view = await node.asked(task_id)
        await node.decide(task_id)
        pid = node.place(view.task.session_id) / "pid"
        with anyio.fail_after(15):
            while not pid.exists() or not pid.read_text().strip():
                await anyio.sleep(0.01)
        ((_, reading),) = node.runtime.lanes.reading()
        assert isinstance(reading.run, ClaudeCodeRun)
        assert reading.run.child is not None
        child = reading.run.child
        began = anyio.current_time()
        view, _ = await node.runtime.cancel(CALLER, task_id, wait_s=5.0)
        assert anyio.current_time() - began < 4.0  # half a second on an idle machine
        assert view.task.status is TaskStatus.CANCELLED
        assert claude_child.kill_marked(child.mark) == 0
        assert not is_there(int(pid.read_text()))
        assert child.process.returncode is not None


NODE = """
import anyio, sys
from pathlib import Path
from tests.engines.test_claude_conversations import TOUCH, a_node
from agentcore_adapters.postgres.store import postgres_store
from agentcore_adapters.testing.provider import StubProvider
async def main():
    async with postgres_store(sys.argv[1], lease_ttl_s=3.0) as stores:
        async with a_node(stores, StubProvider(url=sys.argv[2]), Path(sys.argv[3])) as node:
            print("task", await node.ask(TOUCH), file=sys.stderr, flush=True)  # what is logged goes to the other
            await anyio.sleep_forever()
anyio.run(main)
"""


async def test_P8_an_approval_survives_kill_9(postgres: Server, provider: StubProvider, tmp_path: Path) -> None:
    program_for(provider, tmp_path)
    address = postgres.fresh()[1]
    command = [sys.executable, "-c", NODE, address, provider.url, str(tmp_path)]
    async with postgres_store(address) as stores:
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
        ) as owner:
            try:
                assert owner.stderr is not None
                word, task_id = (await anyio.to_thread.run_sync(owner.stderr.readline)).split()
                assert word == "task"
                with anyio.fail_after(20):
                    while not (await stores[0].task(TENANT, TaskId(task_id))).approvals:
                        await anyio.sleep(0.02)
                children = [pid for pid in claude_child._pids() if has_home(pid, tmp_path)]
                assert children
            finally:
                owner.kill()
        with anyio.fail_after(5):
            while [pid for pid in children if has_home(pid, tmp_path)]:
                await anyio.sleep(0.01)
        async with a_node(stores, provider, tmp_path, "n2") as node:
            view = await node.until(TaskId(task_id), lambda view: not view.task.driven)
            assert view.task.status is TaskStatus.AWAITING_APPROVAL
            await node.decide(TaskId(task_id))
            view = await node.until(TaskId(task_id), lambda view: view.task.is_final)
            assert view.task.status is TaskStatus.COMPLETED
            assert view.task.attempt == 2
            assert (node.place(view.task.session_id) / "it").exists()


def has_home(pid: int, folder: Path) -> bool:
    return any(value.startswith(b"HOME=" + bytes(folder)) for value in claude_child._environment(pid))


async def said(runtime: Runtime, task_id: TaskId) -> None:
    """Wait until the engine of a task has said something."""
    with anyio.fail_after(15):
        while not any(r.turn.task.id == task_id and r.turn.tail for _, r in runtime.lanes.reading()):
            await anyio.sleep(0.005)
