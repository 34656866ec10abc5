"""LangGraph's server, ``langgraph dev`` (in memory, pickled to disk every 10 s): one node that asks the model.

variants: n32  --n-jobs-per-worker 32; the default is 1, which runs one after the other
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from benchmarks.target import Target, answered, sse

GRAPH = """
import os
from langchain_openai import ChatOpenAI
from langgraph.graph import StateGraph, MessagesState, START, END
llm = ChatOpenAI(model="stub", base_url=os.environ["STUB_URL"] + "/v1", api_key="sk-stub", max_retries=0)
async def chat(state: MessagesState):
    return {"messages": [await llm.ainvoke(state["messages"])]}
g = StateGraph(MessagesState)
g.add_node("chat", chat); g.add_edge(START, "chat"); g.add_edge("chat", END)
graph = g.compile()
"""
decode = msgspec.json.decode


class LangGraph(Target):
    """Speaks the Agent Protocol."""

    name = "langgraph"
    venv = "langgraph"
    ready_path = "/ok"
    notes = "langgraph dev, one node, ChatOpenAI; SSE, stream_mode=messages-tuple"
    variants: tuple[str, ...] = ("", "n32")

    async def prepare(self, *, fresh: bool) -> None:  # noqa: ARG002 - its state lies in the work folder
        """Write the graph."""
        (self.work / "graph.py").write_text(GRAPH)
        (self.work / "langgraph.json").write_text('{"dependencies":["."],"graphs":{"chat":"./graph.py:graph"}}')

    def environment(self) -> Mapping[str, str]:
        """Let it call nobody."""
        return {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}

    def command(self) -> Sequence[str]:
        """Serve it."""
        options = ["--no-browser", "--no-reload", "--port", str(self.port), "--server-log-level", "warning"]
        options += ["--n-jobs-per-worker", self.variant[1:]] if self.variant else []
        return [self.program("langgraph"), "dev", *options]

    async def create_session(self) -> str:
        """Make a thread."""
        async with self.http.post(self.base + "/threads", json={}) as response:
            return str(decode(await answered(response))["thread_id"])

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Read the answer."""
        asked = {"messages": [{"role": "user", "content": prompt}]}
        body = {"assistant_id": "chat", "input": asked, "stream_mode": ["messages-tuple"]}
        async with self.http.post(f"{self.base}/threads/{session}/runs/stream", json=body) as response:
            async for event, data in sse(response):
                if event == b"metadata":
                    self.run_ids[session] = decode(data)["run_id"]
                elif text := _text(event, data):
                    yield text

    async def cancel(self, session: str) -> None:
        """Cancel the run."""
        async with self.http.post(self._run(session) + "/cancel") as response:
            await answered(response)

    async def attach(self, session: str) -> AsyncIterator[str]:
        """Join the run."""
        params = {"stream_mode": "messages-tuple"}
        async with self.http.get(self._run(session) + "/stream", params=params) as response:
            async for event, data in sse(response):
                if text := _text(event, data):
                    yield text

    async def history(self, session: str) -> str:
        """Return the thread's state."""
        async with self.http.get(f"{self.base}/threads/{session}/state") as response:
            return await answered(response)

    async def status(self, session: str) -> str:
        """Return the status of the run."""
        async with self.http.get(self._run(session)) as response:
            return str(decode(await answered(response)).get("status"))

    def _run(self, session: str) -> str:
        return f"{self.base}/threads/{session}/runs/{self.run_ids.get(session)}"


def _text(event: bytes, data: bytes) -> str:
    if event == b"error":
        raise RuntimeError(data.decode())
    if not event.startswith(b"messages"):
        return ""
    message: dict[str, Any] = decode(data)[0]
    if message.get("type") != "AIMessageChunk":
        return ""
    content = message["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


TARGET = LangGraph
