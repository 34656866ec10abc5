"""What a user would write by hand: Starlette on uvicorn, SQLite, and a way to ask the model.

variants: raw     aiohttp, the stream parsed by hand: what careful Python reaches
          openai  the openai SDK
No resume and no cancel, as in the tutorials; a run is stored when it has ended.
"""

from collections.abc import AsyncIterator, Sequence

import msgspec
from benchmarks.target import Target, answered, sse

COMMON = """
import contextlib, json, os, uuid, aiosqlite, orjson
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse, PlainTextResponse
from starlette.routing import Route
URL = os.environ["STUB_URL"] + "/v1"
db = None
@contextlib.asynccontextmanager
async def lifespan(app):
    global db
    db = await aiosqlite.connect("app.db")
    await db.execute("pragma journal_mode=wal"); await db.execute("pragma synchronous=normal")
    await db.execute("create table if not exists sessions(id text primary key)")
    await db.execute("create table if not exists messages(n integer primary key, session text, body text)")
    await db.execute("create index if not exists m on messages(session, n)")
    await db.commit()
    yield
    await db.close()
async def create(request):
    sid = uuid.uuid4().hex
    await db.execute("insert into sessions values(?)", (sid,)); await db.commit()
    return JSONResponse({"id": sid})
async def load(sid):
    cur = await db.execute("select body from messages where session=? order by n", (sid,))
    return [r[0] for r in await cur.fetchall()]
async def save(sid, *bodies):
    for b in bodies:
        await db.execute("insert into messages(session, body) values(?,?)", (sid, b))
    await db.commit()
async def history(request):
    return PlainTextResponse("[" + ",".join(await load(request.path_params["sid"])) + "]")
async def run(request):
    sid, prompt = request.path_params["sid"], (await request.json())["prompt"]
    async def gen():
        async for t in turn(sid, prompt):
            yield b"data: " + orjson.dumps({"delta": t}) + b"\\n\\n"
        yield b"data: [DONE]\\n\\n"
    return StreamingResponse(gen(), media_type="text/event-stream")
app = Starlette(lifespan=lifespan, routes=[Route("/health", lambda r: PlainTextResponse("ok")),
    Route("/sessions", create, methods=["POST"]), Route("/sessions/{sid}/runs", run, methods=["POST"]),
    Route("/sessions/{sid}", history)])
"""
RAW = """
import aiohttp
http = None
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-stub"}
async def turn(sid, prompt):
    global http
    http = http or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    user = orjson.dumps({"role": "user", "content": prompt})
    messages = b",".join([b.encode() for b in await load(sid)] + [user])
    body = b'{"model":"stub","stream":true,"messages":[' + messages + b"]}"
    out, buf = [], b""
    async with http.post(URL + "/chat/completions", data=body, headers=HEADERS) as r:
        r.raise_for_status()
        async for part in r.content.iter_any():
            *frames, buf = (buf + part).split(b"\\n\\n")
            for f in frames:
                if f.startswith(b"data: {"):
                    c = orjson.loads(f[6:])["choices"]
                    if c and (t := c[0]["delta"].get("content")):
                        out.append(t); yield t
    await save(sid, user.decode(), orjson.dumps({"role": "assistant", "content": "".join(out)}).decode())
"""
OPENAI = """
import openai
client = openai.AsyncOpenAI(base_url=URL, api_key="sk-stub", max_retries=0)
async def turn(sid, prompt):
    user = {"role": "user", "content": prompt}
    out = []
    stream = await client.chat.completions.create(model="stub", stream=True,
        messages=[json.loads(b) for b in await load(sid)] + [user])
    async for c in stream:
        if c.choices and (t := c.choices[0].delta.content):
            out.append(t); yield t
    await save(sid, json.dumps(user), json.dumps({"role": "assistant", "content": "".join(out)}))
"""


class HandRolled(Target):
    """One file of one user."""

    name = "handrolled"
    venv = "handrolled"
    notes = "Starlette on uvicorn (uvloop, httptools), one worker, SQLite in WAL mode; SSE"
    variants = ("raw", "openai")

    def __init__(self, port: int, stub_url: str, variant: str = "raw") -> None:
        """Choose how the model is asked."""
        super().__init__(port, stub_url, variant or "raw")

    async def prepare(self, *, fresh: bool) -> None:  # noqa: ARG002 - the database lies in the work folder
        """Write the file."""
        (self.work / "app.py").write_text(COMMON + (RAW if self.variant == "raw" else OPENAI))

    def command(self) -> Sequence[str]:
        """Serve it."""
        options = ["--port", str(self.port), "--log-level", "warning", "--no-access-log"]
        return [self.program("uvicorn"), "app:app", *options]

    async def create_session(self) -> str:
        """Make one."""
        async with self.http.post(self.base + "/sessions") as response:
            return str(msgspec.json.decode(await answered(response))["id"])

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Read the answer."""
        async with self.http.post(f"{self.base}/sessions/{session}/runs", json={"prompt": prompt}) as response:
            async for _, data in sse(response):
                if data[:1] == b"{":
                    yield msgspec.json.decode(data)["delta"]

    async def history(self, session: str) -> str:
        """Return what is stored."""
        async with self.http.get(f"{self.base}/sessions/{session}") as response:
            return await answered(response)


TARGET = HandRolled
