"""Google ADK: ``adk api_server`` with LiteLlm and its SQLite session service; ``/run_sse`` with streaming."""

from collections.abc import AsyncIterator, Sequence

import msgspec
from benchmarks.target import Target, answered, sse

AGENT = """
import os
from google.adk.agents import Agent
from google.adk.models.lite_llm import LiteLlm
root_agent = Agent(name="chat", instruction="You are a chat assistant.",
    model=LiteLlm(model="openai/stub", api_base=os.environ["STUB_URL"] + "/v1", api_key="sk-stub", num_retries=0))
"""
SESSIONS = "/apps/chat/users/u/sessions"


class Adk(Target):
    """One server of agents."""

    name = "adk"
    venv = "adk"
    notes = "adk api_server, session service on SQLite, LiteLlm; SSE"

    async def prepare(self, *, fresh: bool) -> None:  # noqa: ARG002 - the database lies in the work folder
        """Write the agent."""
        folder = self.work / "agents" / "chat"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text("from . import agent\n")
        (folder / "agent.py").write_text(AGENT)

    def command(self) -> Sequence[str]:
        """Serve it."""
        store = f"sqlite:///{self.work}/sessions.db"
        options = ["--port", str(self.port), "--log_level", "warning", "--session_service_uri", store]
        return [self.program("adk"), "api_server", *options, "agents"]

    async def create_session(self) -> str:
        """Make one."""
        async with self.http.post(self.base + SESSIONS, json={}) as response:
            return str(msgspec.json.decode(await answered(response))["id"])

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Read the answer."""
        message = {"role": "user", "parts": [{"text": prompt}]}
        who = {"appName": "chat", "userId": "u", "sessionId": session}
        async with self.http.post(
            self.base + "/run_sse", json={**who, "streaming": True, "newMessage": message}
        ) as response:
            async for _, data in sse(response):
                event = msgspec.json.decode(data)
                if "error" in event:
                    raise RuntimeError(str(event["error"]))
                for part in event["content"]["parts"] if event.get("partial") else ():
                    if part.get("text"):
                        yield part["text"]

    async def history(self, session: str) -> str:
        """Return the session with its events."""
        async with self.http.get(f"{self.base}{SESSIONS}/{session}") as response:
            return await answered(response)


TARGET = Adk
