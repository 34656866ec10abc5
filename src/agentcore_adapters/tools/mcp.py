"""Tools of MCP servers.

Law: which servers there are is said by a file of the server's operator, never by a request.  A child gets PATH, HOME,
LANG, what the SDK adds for a shell, and the environment of its own entry: none of our keys.  A call is sent once; if
the connection breaks under it, its effect is not known and the model is told so.

Story: each server has a keeper, a task that connects, lists its tools, lists them again now and then, and connects
again when the connection is gone.  A server that cannot be started costs its tools and nothing else: they are missing,
``mcp_states`` and the log say so, and the keeper goes on trying.
"""

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import structlog
from attrs import define, field, frozen

from agentcore.tooling import Tool, Toolboxes, ToolCall, ToolOutput
from agentcore_adapters.tools.mcp_config import McpEntry

if TYPE_CHECKING:
    from mcp import Client

log = structlog.get_logger("agentcore.mcp")
START_S = 15.0  # a server that is not there by then is waited for no longer
AGAIN_S = 60.0  # its tools may change without a word
STEADY_S = 10.0  # a connection that has lasted so long is made again at once
BACKOFF_S = (0.1, 0.2, 1.0, 5.0, 15.0, 30.0)
DESCRIPTION_CHARS = 4_000  # each of them is sent with each turn
PATIENCE_S = 5.0  # a call waits that long for a connection that is being made again
PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE")
AWAY = "The tool's server cannot be reached now; the call was not made."
CUT = "The connection to the tool's server broke; whether the call had an effect is not known."


@frozen
class McpState:
    """Whether a server can be used."""

    name: str
    tools: int = 0
    reason: str | None = None  #: Why it cannot.


@define(eq=False)
class McpServer:
    """One server; keeps the promises of ``Toolbox``."""

    entry: McpEntry
    found: Sequence[Tool] = field(factory=tuple)  #: Those of the last listing.
    reason: str | None = "It has not answered yet."
    _client: "Client | None" = None
    _tried: anyio.Event = field(factory=anyio.Event)  # it was connected to, or not, for the first time
    _connected: anyio.Event = field(factory=anyio.Event)
    _broken: anyio.Event = field(factory=anyio.Event)

    @property
    def state(self) -> McpState:
        """What there is to say about it."""
        return McpState(self.entry.name, len(self.found), self.reason)

    async def tools(self) -> Sequence[Tool]:
        """Return those of the last listing."""
        return self.found

    async def call(self, call: ToolCall) -> ToolOutput:
        """Make a call, once."""
        from mcp import MCPError  # noqa: PLC0415 - heavy; it is loaded if there is a connection

        with anyio.move_on_after(PATIENCE_S):
            while self._client is None:
                await self._connected.wait()
        client, broken = self._client, self._broken
        if client is None:
            return ToolOutput(AWAY, is_error=True)
        name = call.name.partition(".")[2]
        output: list[ToolOutput] = []

        async def ask() -> None:
            try:
                result = await client.call_tool(name, call.input)
                text = "\n".join(_text(block.model_dump(mode="json")) for block in result.content)
                if not result.content and result.structured_content is not None:
                    text = json.dumps(result.structured_content, ensure_ascii=False)
                output.append(ToolOutput(text, is_error=result.is_error))
            except MCPError as error:
                if not broken.is_set():
                    output.append(ToolOutput(f"The server refused: {error}", is_error=True))
            except Exception as error:  # noqa: BLE001 - transports raise their own; their text names addresses
                log.warning("mcp.call_failed", server=self.entry.name, kind=type(error).__name__)
                self._lose(broken)
            waiting.cancel_scope.cancel()

        async with anyio.create_task_group() as waiting:
            waiting.start_soon(ask)
            await broken.wait()
            # The end of the connection and the answer may come together; the answer counts.
            with anyio.move_on_after(0.1):
                await anyio.sleep_forever()
            waiting.cancel_scope.cancel()
        return output[0] if output else ToolOutput(CUT, is_error=True)

    async def keep(self) -> None:
        """Connect, and connect again, for ever."""
        failures = 0
        while True:
            since = anyio.current_time()
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - whatever it is, the server is not there
                self.reason = _reason(error)
                log.warning("mcp.unavailable", server=self.entry.name, reason=self.reason)
            self._tried.set()
            failures = 0 if anyio.current_time() - since > STEADY_S else failures + 1
            await anyio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def tried(self) -> None:
        """Wait until it was connected to, or not, for the first time."""
        await self._tried.wait()

    async def _serve(self) -> None:
        """Connect, and stay until the connection is gone."""
        from mcp import Client  # noqa: PLC0415 - heavy

        broken = self._broken = anyio.Event()
        try:
            lost = partial(self._lose, broken)
            async with Client(_watched(self.entry, lost), cache=None) as client:
                with anyio.fail_after(START_S):
                    self.found = await self._list(client)
                self._client, self.reason = client, None
                self._connected.set()
                self._tried.set()
                log.info("mcp.connected", server=self.entry.name, tools=len(self.found))
                while not broken.is_set():
                    with anyio.move_on_after(AGAIN_S):
                        await broken.wait()
                        break
                    with anyio.fail_after(START_S):
                        self.found = await self._list(client)
        finally:
            self._lose(broken)

    def _lose(self, broken: anyio.Event) -> None:
        """Take note that a connection is gone: from now on, calls wait for the next one."""
        broken.set()
        if broken is self._broken and self._client is not None:
            self._client, self._connected = None, anyio.Event()
            self.reason = "Its connection was lost."

    async def _list(self, client: "Client") -> list[Tool]:
        found: list[Tool] = []
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                name = f"{self.entry.name}.{tool.name}"
                described = (tool.description or "")[:DESCRIPTION_CHARS]
                found.append(Tool(name=name, description=described, input_schema=tool.input_schema))
            cursor = page.next_cursor
            if cursor is None:
                return found


def mcp_states(tools: Toolboxes) -> list[McpState]:
    """Say of each MCP server of *tools* whether it can be used."""
    return [box.state for box in tools.boxes if isinstance(box, McpServer)]


@asynccontextmanager
async def mcp_tools(entries: Sequence[McpEntry]) -> AsyncIterator[Toolboxes]:
    """Connect to servers, for a bounded time each, and stay connected; at the end their processes are stopped."""
    servers = [McpServer(entry) for entry in entries]
    async with anyio.create_task_group() as keepers:
        for server in servers:
            keepers.start_soon(server.keep)
        with anyio.move_on_after(START_S):
            for server in servers:
                await server.tried()
        try:
            yield Toolboxes(servers)
        finally:
            keepers.cancel_scope.cancel()


@asynccontextmanager
async def _watched(entry: McpEntry, lost: Callable[[], None]) -> AsyncIterator[Any]:
    """Open the transport of *entry*, and say that it is *lost* when the other side has gone."""
    async with _transport(entry) as (read, write), anyio.create_task_group() as pumping:
        into, out = anyio.create_memory_object_stream[Any](0)

        async def pump() -> None:
            async with into:
                async for message in read:
                    await into.send(message)
                lost()

        pumping.start_soon(pump)
        yield out, write
        pumping.cancel_scope.cancel()


def _transport(entry: McpEntry) -> AbstractAsyncContextManager[Any]:
    if entry.url is not None:
        return _http(entry.url, entry.headers)
    from mcp import StdioServerParameters, stdio_client  # noqa: PLC0415 - heavy

    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    parameters = StdioServerParameters(
        command=entry.command or "", args=list(entry.args), env=passed | dict(entry.env), cwd=entry.cwd
    )
    return _quiet(stdio_client, parameters)


@asynccontextmanager
async def _quiet(client: Any, parameters: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - the SDK's
    """Start a child whose log goes nowhere: it may hold anything, and ours is read by machines."""
    with Path(os.devnull).open("w") as nowhere:
        async with client(parameters, errlog=nowhere) as streams:
            yield streams


@asynccontextmanager
async def _http(url: str, headers: Mapping[str, str]) -> AsyncIterator[Any]:
    import httpx2  # noqa: PLC0415 - heavy
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415 - heavy

    timeout = httpx2.Timeout(10.0, read=300.0)
    # Neither proxies nor credentials of the environment: the address is the one that was configured.
    async with httpx2.AsyncClient(headers=dict(headers), timeout=timeout, trust_env=False) as http:
        async with streamable_http_client(url, http_client=http) as streams:
            yield streams


def _text(block: Mapping[str, Any]) -> str:
    """Write a block of a result as a model can read it."""
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "resource" if isinstance(resource := block.get("resource"), Mapping) and "text" in resource:
            return str(resource["text"])
        case "resource_link":
            return f"[{block.get('name')}: {block.get('uri')}]"
        case kind:
            return f"[{kind} left out: {block.get('mimeType') or block.get('mime_type') or 'of unknown kind'}]"


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    match error:
        case FileNotFoundError():
            return "Its command was not found."
        case PermissionError():
            return "Its command may not be run."
        case ImportError():
            return "pip install 'agentcore[mcp]'"
        case TimeoutError():
            return "It did not answer in time."
        case _:
            return f"It could not be connected to ({type(error).__name__})."
