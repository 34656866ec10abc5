"""OpenHands' agent server: a conversation without tools, LiteLLM, events as files, deltas over a WebSocket."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import ClientWebSocketResponse, WSMsgType
from benchmarks.target import Target, answered

OVER = frozenset({"finished", "error", "stuck", "paused"})
decode = msgspec.json.decode


class OpenHands(Target):
    """One agent server."""

    name = "openhands"
    venv = "openhands"
    notes = "agent-server, no tools, at most 64 runs (its default of 10 refuses more); WebSocket"

    def environment(self) -> Mapping[str, str]:
        """Leave out what has nothing to do with a conversation."""
        return {
            "OH_MAX_CONCURRENT_RUNS": "64",
            "OH_ENABLE_VSCODE": "false",
            "OH_PRELOAD_TOOLS": "false",
            "OPENHANDS_SUPPRESS_BANNER": "1",
            "OH_TELEMETRY_CONSENT": "false",
            "LOG_LEVEL": "WARNING",
            "OH_SECRET_KEY": "stub-secret-key",
        }

    def command(self) -> Sequence[str]:
        """Serve it."""
        return [self.program("agent-server"), "--port", str(self.port)]

    async def create_session(self) -> str:
        """Make a conversation."""
        llm = {"usage_id": "agent", "model": "openai/stub", "api_key": "sk-stub", "base_url": self.stub_url + "/v1"}
        settings = {"llm": {**llm, "stream": True, "num_retries": 0}, "tools": []}
        workspace = {"working_dir": str(self.work / "ws")}
        body = {"agent_settings": settings, "autotitle": False, "workspace": workspace}
        async with self.http.post(self.base + "/api/conversations", json=body) as response:
            return str(decode(await answered(response))["id"])

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Listen, ask, and read the answer."""
        async with self.http.ws_connect(f"{self.base}/sockets/events/{session}", max_msg_size=0) as socket:
            said = {"role": "user", "content": [{"type": "text", "text": prompt}], "run": True}
            async with self.http.post(f"{self.base}/api/conversations/{session}/events", json=said) as response:
                await answered(response)
            async for text in _texts(socket, has_begun=False):
                yield text

    async def cancel(self, session: str) -> None:
        """Interrupt the conversation."""
        async with self.http.post(f"{self.base}/api/conversations/{session}/interrupt") as response:
            await answered(response)

    async def attach(self, session: str) -> AsyncIterator[str]:
        """Listen, with all that was told before."""
        url = f"{self.base}/sockets/events/{session}"
        async with self.http.ws_connect(url, params={"resend_mode": "all"}, max_msg_size=0) as socket:
            async for text in _texts(socket, has_begun=True):
                yield text

    async def history(self, session: str) -> str:
        """Return the events."""
        url = f"{self.base}/api/conversations/{session}/events/search"
        async with self.http.get(url, params={"limit": 100}) as response:
            return await answered(response)

    async def status(self, session: str) -> str:
        """Return the conversation's status."""
        async with self.http.get(f"{self.base}/api/conversations/{session}") as response:
            return str(decode(await answered(response)).get("execution_status"))


async def _texts(socket: ClientWebSocketResponse, *, has_begun: bool) -> AsyncIterator[str]:
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            return
        event: dict[str, Any] = decode(message.data)
        if event["kind"] == "StreamingDeltaEvent" and event.get("content"):
            yield event["content"]
        elif event["kind"] == "ConversationStateUpdateEvent" and event.get("key") == "execution_status":
            has_begun = has_begun or event["value"] == "running"
            if has_begun and event["value"] in {"error", "stuck"}:
                raise RuntimeError(event["value"])
            if has_begun and event["value"] in OVER:
                return


TARGET = OpenHands
