"""Tools of real MCP servers, over both transports."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from agentcore.ids import SessionId, TaskId
from agentcore.tooling import Toolboxes, ToolCall, ToolOutput
from agentcore_adapters.tools import mcp_config
from agentcore_adapters.tools.mcp import mcp_states, mcp_tools
from agentcore_adapters.tools.mcp_config import McpConfigError, McpEntry

pytestmark = pytest.mark.anyio
SERVER = str(Path(__file__).parent.parent / "support" / "mcp_server.py")
STDIO = McpEntry(name="tests", command=sys.executable, args=(SERVER,), env={"OWN": "mine"})


def a_call(name: str, **arguments: object) -> ToolCall:
    return ToolCall(
        tool_use_id="1", name=name, input=arguments, session_id=SessionId("s"), task_id=TaskId("t")
    )  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, SERVER, str(port)], stderr=subprocess.DEVNULL) as child:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            child.poll()
            signal.sigtimedwait([], 0.05)
        yield f"http://127.0.0.1:{port}/mcp"
        child.kill()


@pytest.fixture(params=["stdio", "http"])
async def tools(request: pytest.FixtureRequest) -> AsyncIterator[Toolboxes]:
    entry = STDIO
    if request.param == "http":
        entry = McpEntry(name="tests", url=request.getfixturevalue("address"), headers={"Authorization": "Bearer x"})
    async with mcp_tools([entry]) as found:
        yield found


async def test_tools_are_listed_and_called(tools: Toolboxes) -> None:
    listed = {tool.name: tool for tool in await tools.tools()}
    assert {"tests.add", "tests.note", "tests.fail"} <= set(listed)
    assert listed["tests.add"].description == "Add two numbers."
    assert set(listed["tests.add"].input_schema["properties"]) == {"a", "b"}
    assert await tools.call(a_call("tests.add", a=2, b=3)) == ToolOutput("5")
    (state,) = mcp_states(tools)
    assert (state.name, state.reason, state.tools) == ("tests", None, len(listed))


async def test_what_goes_wrong_is_told(tools: Toolboxes) -> None:
    for call in (a_call("tests.fail"), a_call("tests.add", a="two"), a_call("tests.none"), a_call("none.none")):
        assert (await tools.call(call)).is_error
    assert await tools.call(a_call("tests.add", a=2, b=3)) == ToolOutput("5")


async def test_calls_run_at_the_same_time(tools: Toolboxes, tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(tools.call, a_call("tests.slow", path=str(tmp_path / str(number)), seconds=1.0))


async def test_a_call_that_is_given_up_holds_nothing_up(tools: Toolboxes, tmp_path: Path) -> None:
    with anyio.move_on_after(0.5) as scope:
        await tools.call(a_call("tests.slow", path=str(tmp_path / "x"), seconds=30.0))
    assert scope.cancelled_caught
    assert await tools.call(a_call("tests.add", a=1, b=1)) == ToolOutput("2")


async def test_a_child_has_none_of_our_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "AGENTCORE_DATABASE_URL", "AGENTCORE_SECRET_KEY", "MY_TOKEN"):
        monkeypatch.setenv(name, "canary")
    async with mcp_tools([STDIO]) as tools:
        output = (await tools.call(a_call("tests.environment"))).text
    names = {line.partition("=")[0] for line in output.splitlines()}
    assert "canary" not in output
    assert {"OWN", "PATH"} <= names


async def test_a_server_that_dies_under_a_call_comes_back_and_the_call_is_not_repeated(tmp_path: Path) -> None:
    async with mcp_tools([STDIO]) as tools:
        with anyio.fail_after(20):
            died = await tools.call(a_call("tests.die"))
            assert died.is_error
            assert "not known" in died.text
            again = await tools.call(a_call("tests.add", a=2, b=3))
            assert again == ToolOutput("5")


async def test_a_server_that_died_in_silence_is_started_again() -> None:
    async with mcp_tools([STDIO]) as tools:
        listing = await tools.call(a_call("tests.environment"))
        assert not listing.is_error
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        for child in children:
            if SERVER in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(int(child), signal.SIGKILL)
        await anyio.sleep(0.2)
        with anyio.fail_after(20):
            assert await tools.call(a_call("tests.add", a=2, b=3)) == ToolOutput("5")


async def test_a_server_that_cannot_be_started_costs_its_tools_only() -> None:
    absent = McpEntry(name="absent", command="/no/such/command")
    mute = McpEntry(name="ends", command=sys.executable, args=("-c", "pass"))
    away = McpEntry(name="away", url="http://127.0.0.1:9/mcp")
    with anyio.fail_after(10):
        async with mcp_tools([absent, mute, away, STDIO]) as tools:
            assert {tool.name.partition(".")[0] for tool in await tools.tools()} == {"tests"}
            reasons = {state.name: state.reason for state in mcp_states(tools)}
            assert reasons["absent"] == "Its command was not found."
            assert reasons["ends"]
            assert reasons["away"]
            assert "127.0.0.1" not in str(reasons)
            assert reasons["tests"] is None
            assert (await tools.call(a_call("absent.x"))).is_error


async def test_processes_end_with_the_toolbox() -> None:
    async with mcp_tools([STDIO]) as tools:
        await tools.call(a_call("tests.add", a=1, b=1))
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert not [child for child in children if SERVER in Path(f"/proc/{child}/cmdline").read_text()]


def test_the_file_is_read_as_other_programs_write_it(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    servers = {
        "files": {"type": "stdio", "command": "run", "args": ["-v"], "env": {"TOKEN": "canary"}, "cwd": "here"},
        "web": {"url": "https://mcp.example/mcp", "headers": {"Authorization": "Bearer canary"}},
        "off": {"command": "run", "disabled": True},
    }
    path.write_text(json.dumps({"mcpServers": servers, "other": 1}))
    files, web = mcp_config.read(path)
    assert (files.command, files.args, files.cwd) == ("run", ("-v",), tmp_path / "here")
    assert (web.url, dict(web.headers)) == ("https://mcp.example/mcp", {"Authorization": "Bearer canary"})
    assert "canary" not in repr((files, web))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "mcp.json"),
        ('{"mcpServers": {"a": {}}}', "either a command or a url"),
        ('{"mcpServers": {"a.b": {"command": "x"}}}', "letters, digits"),
        ('{"mcpServers": {"a": {"url": "file:///x"}}}', "http"),
        ('{"mcpServers": {"a": {"command": "x", "env": {"KEY": 12}}}}', "env"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(content)
    with pytest.raises(McpConfigError, match=said):
        mcp_config.read(path)
    with pytest.raises(McpConfigError, match="no file"):
        mcp_config.read(tmp_path / "none.json")
