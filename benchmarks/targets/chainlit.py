"""Chainlit: a handler with the openai SDK, passwords, SQLAlchemyDataLayer on SQLite; socket.io over a WebSocket.

The client speaks engine.io 4 and socket.io 5 by hand: one socket a session.
"""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import ClientWebSocketResponse, WSMsgType
from benchmarks.target import Target

APP = """
import os, sqlite3
import chainlit as cl
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from openai import AsyncOpenAI
DB = os.path.abspath("chat.db")
with sqlite3.connect(DB) as c:
    c.executescript(\"\"\"
    pragma journal_mode=wal;
    create table if not exists users(
      id text primary key, identifier text not null unique, metadata text not null, "createdAt" text);
    create table if not exists threads(
      id text primary key, "createdAt" text, name text, "userId" text, "userIdentifier" text, tags text, metadata text);
    create table if not exists steps(
      id text primary key, name text, type text, "threadId" text, "parentId" text, streaming boolean,
      "waitForAnswer" boolean, "isError" boolean, metadata text, tags text, input text, output text, "createdAt" text,
      command text, modes text, start text, "end" text, generation text, "showInput" text, language text, icon text,
      indent int, "defaultOpen" boolean, "autoCollapse" boolean);
    create table if not exists elements(
      id text primary key, "threadId" text, type text, url text, "chainlitKey" text, name text, display text,
      "objectKey" text, size text, page int, language text, "forId" text, mime text, props text);
    create table if not exists feedbacks(
      id text primary key, "forId" text, "threadId" text, value int, comment text);
    create index if not exists st on steps("threadId");
    \"\"\")
@cl.data_layer
def layer():
    return SQLAlchemyDataLayer(conninfo="sqlite+aiosqlite:///" + DB)
@cl.password_auth_callback
def auth(u, p):
    return cl.User(identifier=u, metadata={})
client = AsyncOpenAI(base_url=os.environ["STUB_URL"] + "/v1", api_key="sk-stub", max_retries=0)
@cl.on_chat_resume
async def resume(thread):
    pass
@cl.on_message
async def main(message: cl.Message):
    msg = cl.Message(content="")
    stream = await client.chat.completions.create(model="stub", messages=cl.chat_context.to_openai(), stream=True)
    async for part in stream:
        if part.choices and (t := part.choices[0].delta.content):
            await msg.stream_token(t)
    await msg.update()
"""
decode = msgspec.json.decode


def encode(value: object) -> str:
    """Encode to JSON."""
    return msgspec.json.encode(value).decode()


class Chainlit(Target):
    """One application."""

    name = "chainlit"
    venv = "chainlit"
    ready_path = "/project/translations?language=en-US"
    notes = "chainlit run, headless, passwords, SQLAlchemyDataLayer on SQLite; socket.io over WebSocket"

    def __init__(self, port: int, stub_url: str, variant: str = "") -> None:
        """Keep sockets here."""
        super().__init__(port, stub_url, variant)
        self.sockets: dict[str, ClientWebSocketResponse] = {}
        self.cookies = ""

    async def prepare(self, *, fresh: bool) -> None:
        """Write the application."""
        (self.work / "app.py").write_text(APP)
        if fresh:
            self.sockets.clear()
            self.cookies = ""

    def environment(self) -> Mapping[str, str]:
        """Give it a secret."""
        return {"CHAINLIT_AUTH_SECRET": "stub-secret-0123456789-0123456789-0123456789"}

    def command(self) -> Sequence[str]:
        """Serve it."""
        return [self.program("chainlit"), "run", "app.py", "-h", "--port", str(self.port), "--host", "127.0.0.1"]

    async def create_session(self) -> str:
        """Open a socket."""
        session = str(uuid.uuid4())
        self.sockets[session] = await self._connect(session)
        return session

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Send a message and read the answer."""
        socket = self.sockets[session]
        if socket.closed:  # come back as a browser does: a new session that resumes the thread
            thread = self.run_ids.get(session, "")
            socket = self.sockets[session] = await self._connect(str(uuid.uuid4()), thread)
            async for event, _ in _events(socket):
                if event.startswith("resume_thread"):
                    break
        message = {"id": str(uuid.uuid4()), "threadId": "", "name": "u", "type": "user_message", "output": prompt}
        body = {"message": {**message, "createdAt": "2026-01-01T00:00:00Z"}, "fileReferences": []}
        await socket.send_str("42" + encode(["client_message", body]))
        try:
            async for text in self._texts(session, socket):
                yield text
        except GeneratorExit:  # a client that goes away closes its socket
            await socket.close()
            raise

    async def cancel(self, session: str) -> None:
        """Press stop."""
        await self.sockets[session].send_str('42["stop"]')

    async def _connect(self, session: str, thread: str = "") -> ClientWebSocketResponse:
        if not self.cookies:
            async with self.http.post(self.base + "/login", data={"username": "u", "password": "p"}) as response:
                response.raise_for_status()
                self.cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in response.cookies.items())
        url = f"{self.base}/ws/socket.io/?EIO=4&transport=websocket"
        socket = await self.http.ws_connect(url, max_msg_size=0, headers={"Cookie": self.cookies})
        await socket.receive()  # engine.io has opened
        who = {"sessionId": session, "clientType": "webapp", "userEnv": "{}", "chatProfile": "", "threadId": thread}
        await socket.send_str("40" + encode(who))
        answer = await socket.receive()
        if not str(answer.data).startswith("40"):
            raise RuntimeError(f"The connection was refused: {answer.data}")
        await socket.send_str('42["connection_successful"]')
        return socket

    async def _texts(self, session: str, socket: ClientWebSocketResponse) -> AsyncIterator[str]:
        has_begun = False
        async for event, data in _events(socket):
            if event == "stream_token":
                yield data["token"]
            elif event == "stream_start" and data.get("output"):
                yield data["output"]
            elif event == "first_interaction":
                self.run_ids[session] = data["thread_id"]
            has_begun = has_begun or event == "task_start"
            if event == "task_end" and has_begun:
                return


async def _events(socket: ClientWebSocketResponse) -> AsyncIterator[tuple[str, Any]]:
    """Yield event and data, and answer pings."""
    async for message in socket:
        if message.type is not WSMsgType.TEXT or message.data.startswith("41"):
            return
        if message.data == "2":
            await socket.send_str("3")
        elif message.data.startswith("42"):
            event, *data = decode(message.data[2:])
            yield event, data[0] if data else None


TARGET = Chainlit
