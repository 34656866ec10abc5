"""Agno's AgentOS: an Agent with SqliteDb and its full history, ``POST /agents/chat/runs`` as an event stream.

variants: bg  background=true: a run that is detached and can be resumed, its durable mode
"""

from collections.abc import AsyncIterator, Sequence

import msgspec
from benchmarks.target import Target, answered, sse

APP = """
import os
from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.openai.like import OpenAILike
from agno.os import AgentOS
agent = Agent(id="chat", name="chat", telemetry=False, db=SqliteDb(db_file="agno.db"),
              model=OpenAILike(id="stub", base_url=os.environ["STUB_URL"] + "/v1", api_key="sk-stub"),
              add_history_to_context=True, num_history_runs=100000)   # the default of 3 would cut the history
app = AgentOS(agents=[agent], telemetry=False).get_app()
"""
RUNS = "/agents/chat/runs"
decode = msgspec.json.decode


class Agno(Target):
    """One AgentOS."""

    name = "agno"
    venv = "agno"
    notes = "AgentOS on uvicorn, one worker, Agent with SqliteDb, OpenAILike; SSE"
    variants = ("", "bg")

    async def prepare(self, *, fresh: bool) -> None:  # noqa: ARG002 - the database lies in the work folder
        """Write the application."""
        (self.work / "app.py").write_text(APP)

    def command(self) -> Sequence[str]:
        """Serve it."""
        return [self.program("uvicorn"), "app:app", "--port", str(self.port), "--log-level", "warning"]

    async def create_session(self) -> str:
        """Make one."""
        body = {"agent_id": "chat"}
        async with self.http.post(self.base + "/sessions", params={"type": "agent"}, json=body) as response:
            return str(decode(await answered(response))["session_id"])

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Read the answer."""
        form = {"message": prompt, "stream": "true", "session_id": session}
        form |= {"background": "true"} if self.variant else {}
        async with self.http.post(self.base + RUNS, data=form) as response:
            async for event, data in sse(response):
                if event == b"RunStarted":
                    self.run_ids[session] = decode(data)["run_id"]
                elif text := _text(event, data):
                    yield text

    async def cancel(self, session: str) -> None:
        """Cancel the run."""
        url = f"{self.base}{RUNS}/{self.run_ids[session]}/cancel"
        async with self.http.post(url, params={"session_id": session}) as response:
            await answered(response)

    async def attach(self, session: str) -> AsyncIterator[str]:
        """Resume the run."""
        url = f"{self.base}{RUNS}/{self.run_ids[session]}/resume"
        async with self.http.post(url, data={"session_id": session}) as response:
            async for event, data in sse(response):
                if text := _text(event, data):
                    yield text

    async def history(self, session: str) -> str:
        """Return the runs."""
        url = f"{self.base}/sessions/{session}/runs"
        async with self.http.get(url, params={"type": "agent"}) as response:
            return await answered(response)

    async def status(self, session: str) -> str:
        """Return the status of the run."""
        url = f"{self.base}{RUNS}/{self.run_ids.get(session)}"
        async with self.http.get(url, params={"session_id": session}) as response:
            return str(decode(await answered(response)).get("status"))


def _text(event: bytes, data: bytes) -> str:
    if event == b"RunError":
        raise RuntimeError(data.decode())
    return str(decode(data)["content"] or "") if event == b"RunContent" else ""


TARGET = Agno
