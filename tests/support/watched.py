"""A real server process with a canary in everything, and all that it says to anybody.

Law: every secret setting holds ``hush``, whatever is content holds ``canary``, the tenant is ``acme``.  Nothing here
knows what a test looks for; it only asks for as much as can be asked for, and keeps the answers.
"""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from attrs import define, field, fields
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from agentcore_adapters.testing.provider import running_provider
from agentcore_http.app import API
from agentcore_http.settings import Settings, variable
from tests.support.collector import running_collector

HUSH, CANARY, TENANT = "hush", "canary", "acme"
HERE = Path(__file__).parent
FINAL = {"completed", "failed", "cancelled"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@define
class Evidence:
    """What was said."""

    answers: list[httpx2.Response] = field(factory=list)
    streams: list[httpx2.Response] = field(factory=list)  #: Of events, not read to the end.
    sockets: list[str] = field(factory=list)
    logs: str = ""
    out: str = ""
    metrics: str = ""
    probes: str = ""  #: Of health and readiness.
    traces: list[bytes] = field(factory=list)
    inner: list[str] = field(factory=list)  #: Addresses and folders that no client needs to know.

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.logs.splitlines()]

    def problems(self) -> list[dict[str, Any]]:
        kind = "application/problem+json"
        return [answer.json() for answer in self.answers if answer.headers.get("content-type") == kind]


def secrets() -> dict[str, str]:
    """Return a value for every secret setting; one that is added later has its own."""
    values = {
        variable(a): f"{HUSH}-{a.name}-0123456789-0123456789-0123456789"
        for a in fields(Settings)
        if a.metadata["secret"]
    }
    values["AGENTCORE_DATABASE_URL"] = f"postgresql://agentcore:{HUSH}-database@127.0.0.1:9/x"
    values["AGENTCORE_NATS_URL"] = f"nats://agentcore:{HUSH}-nats@127.0.0.1:9"  # nobody is there
    key = base64.b64encode(f"{HUSH}-webhook-0123456789-0123456789".encode()).decode()
    values["AGENTCORE_USAGE_WEBHOOK_SECRET"] = f"whsec_{key}"
    return values


def needles() -> set[str]:
    """Return what must not be found."""
    return {HUSH, secrets()["AGENTCORE_USAGE_WEBHOOK_SECRET"].removeprefix("whsec_")}


@contextmanager
def watched(folder: Path, database: tuple[str, str] | None) -> Iterator[Evidence]:
    """Run a server, use all of it, stop it; yield what it said."""
    with running_provider() as provider, running_collector() as collector:
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AGENTCORE_", "OPENAI_", "ANTHROPIC_", "OTEL_"))
        }
        environ |= secrets()
        if database is not None:
            environ["AGENTCORE_DATABASE_URL"] = psycopg.conninfo.make_conninfo(database[1], password=f"{HUSH}-database")
        tools = folder / "mcp.json"
        server = {"command": sys.executable, "args": [str(HERE / "mcp_server.py")]}
        tools.write_text(json.dumps({"mcpServers": {"t": server}}))
        environ |= {
            "AGENTCORE_LOG_LEVEL": "debug",
            "AGENTCORE_DATA_DIR": str(folder),
            "AGENTCORE_DEFAULT_ENGINE": "claude_api",
            "ANTHROPIC_BASE_URL": provider.url,
            "OPENAI_BASE_URL": provider.url,
            "AGENTCORE_STT": "openai",
            "AGENTCORE_USAGE_WEBHOOK": provider.url + "/usage",
            "AGENTCORE_BRIDGE_ALLOW": "http://127.0.0.1",
            "AGENTCORE_PUBLIC_URL": "http://127.0.0.1:9",
            "AGENTCORE_TOOLS_MCP_CONFIG": str(tools),
            "AGENTCORE_TOOLS_RULES": "t.note=auto,t.fail=auto",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "PYTHONDEVMODE": "1",
        }
        store = "memory" if database is None else "postgres"
        command = [sys.executable, "-m", "agentcore_http", "serve", "--port", "0", "--store", store]
        logs, out = folder / "logs", folder / "out"
        with logs.open("wb") as errors, out.open("wb") as output:
            process = subprocess.Popen(command, env=environ, cwd=folder, stdout=output, stderr=errors)
        try:
            evidence = Evidence(
                inner=[provider.url, collector.url, str(folder), "site-packages", "SELECT ", "Traceback"]
            )
            user = _User(_address(out, process), evidence)
            user.use(database[0] if database else None)
            user.http.close()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        evidence.logs, evidence.out = logs.read_text(), out.read_text()
        evidence.traces = list(collector.sent)
        yield evidence


def _address(out: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + 60
    while "agentcore is at " not in out.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return out.read_text().partition("agentcore is at ")[2].split()[0]


class _User:
    """Does everything that can be done."""

    def __init__(self, url: str, evidence: Evidence) -> None:
        self.url, self.evidence = url, evidence
        self.http = httpx2.Client(timeout=60.0)

    def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {
            "X-Tenant-Id": TENANT,
            "X-User-Id": f"{CANARY}-user",
            "X-User-Email": f"{CANARY}@example.org",
            "Authorization": f"Bearer {CANARY}.token.of-somebody",
            "Cookie": f"session={CANARY}",
            **more.pop("headers", {}),
        }
        answer = self.http.request(method, self.url + path, headers=headers, **more)
        self.evidence.answers.append(answer)
        return answer

    def post(self, path: str, body: object, **headers: str) -> dict[str, Any]:
        answer = self.ask("POST", API + path, json=body, headers=headers)
        found: dict[str, Any] = answer.json()
        return found

    def task(self, prompt: str, **more: object) -> dict[str, Any]:
        accepted = self.post("/tasks", {"prompt": f"{CANARY} {prompt}", "systemPrompt": f"{CANARY} system", **more})
        return self.ended(accepted["taskId"])

    def ended(self, task_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while (found := self.ask("GET", f"{API}/tasks/{task_id}").json())["status"] not in FINAL:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return dict(found)

    def use(self, owner: str | None) -> None:
        self.tasks()
        self.routes()
        self.mistakes()
        self.socket()
        if owner is not None:
            self.without_a_database(owner)
        self.evidence.probes = "".join(self.ask("GET", path).text for path in ("/healthz", "/readyz"))
        self.evidence.metrics = self.ask("GET", "/metrics").text

    def tasks(self) -> None:
        trace = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        image = {"base64Data": base64.b64encode(PNG).decode(), "mediaType": "image/png", "fileName": f"{CANARY}.png"}
        accepted = self.post("/tasks", {"prompt": CANARY, "attachments": [image]}, Idempotency_Key=CANARY, **trace)
        done = self.ended(accepted["taskId"])
        assert done["status"] == "completed", done
        for flags in ("[[http:401]]", "[[http:500]]", "[[err_mid]]", "[[drop]]", "[[eof]]", "[[overflow]]"):
            for engine in ("claude_api", "openai"):
                assert self.task(flags, engineType=engine)["status"] == "failed"
        note = json.dumps({"path": os.devnull, "text": f"{CANARY}-input"})
        for tool in (f"t.note:{note}", "t.fail:{}", f"t.{CANARY}:{{}}"):
            self.task(f"[[tool:{tool}]]")
        waiting = self.post("/tasks", {"prompt": f'[[tool:t.add:{{"a": 1, "b": 2, "{CANARY}": 3}}]]'})
        self._until(waiting["taskId"], "awaiting_approval")
        approve = {"approved": False, "reason": f"{CANARY}-reason"}
        self.post(f"/tasks/{waiting['taskId']}/approve", approve)
        hung = self.post("/tasks", {"prompt": f"{CANARY} [[hang]]"})
        self._until(hung["taskId"], "running")
        other = self.post(f"/tasks/{hung['taskId']}/inject", {"message": f"{CANARY} [[hang]]"})
        self._until(other["taskId"], "running")
        self.ask("DELETE", f"{API}/tasks/{other['taskId']}")
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            instance = self.post(
                "/instances",
                {"name": CANARY, "serverHost": "127.0.0.1", "hostPort": nobody.getsockname()[1], "status": "running"},
            )
            away = self.post(f"/instances/{instance['id']}/tasks", {"prompt": CANARY, "deadlineSeconds": 5})
            if "taskId" in away:
                self.ask("DELETE", f"{API}/tasks/{away['taskId']}")
                self.ended(away["taskId"])
        self.session = done["sessionId"]

    def _until(self, task_id: str, status: str) -> None:
        deadline = time.monotonic() + 30
        while (found := self.ask("GET", f"{API}/tasks/{task_id}").json())["status"] != status:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def routes(self) -> None:
        """Ask for every route of the document, once for what is there and once for what is not."""
        document = self.ask("GET", "/schema/openapi.json").json()
        body = dict.fromkeys(
            ("prompt", "message", "title", "name", "provider", "url", "engineType", "serverHost"), CANARY
        )
        for path, operations in document["paths"].items():
            for method in operations:
                for value in (self.session, CANARY, f"{CANARY}%0a{CANARY}"):
                    if method == "delete" and value == self.session:
                        continue
                    filled = "/".join(value if part.startswith("{") else part for part in path.split("/"))
                    more = {"json": body} if method in {"post", "patch"} else {}
                    self.ask(method.upper(), f"{filled}?after={CANARY}&limit={CANARY}&{CANARY}={CANARY}", **more)
                    self.ask(method.upper(), filled, **more)
        events = f"{API}/sessions/{self.session}/events"
        with self.http.stream(
            "GET", self.url + events, headers={"Accept": "text/event-stream", "X-Tenant-Id": TENANT}
        ) as one:
            next(one.iter_lines())
            self.evidence.streams.append(one)

    def mistakes(self) -> None:
        text = f'{{"prompt": "{CANARY}", '.encode()
        for content, kind in ((text, "application/json"), (text, "text/plain"), (b"\xff" + text, "application/json")):
            self.ask("POST", f"{API}/tasks", content=content, headers={"Content-Type": kind})
        for body in (
            {"prompt": 1},
            {"prompt": CANARY, "engineType": CANARY},
            {"prompt": CANARY, "allowedTools": [CANARY]},
        ):
            self.ask("POST", f"{API}/tasks", json=body)
        self.ask("POST", f"{API}/tasks", content=b"x" * 2_000_000, headers={"Content-Type": "application/json"})
        self.ask(
            "POST",
            f"{API}/sessions/{self.session}/oauth-trigger",
            json={"provider": CANARY, "url": f"https://{CANARY}.example"},
        )
        self.ask("PATCH", f"{API}/sessions/{self.session}", json={"title": f"{CANARY}\n\u202e"})
        self.ask("POST", f"{API}/transcribe", files={"audio": (f"{CANARY}.webm", CANARY.encode() * 100, "audio/webm")})
        called = {
            "ok": True,
            "result": CANARY,
            "callbackData": {"sessionId": CANARY, "taskId": CANARY, "signature": CANARY},
        }
        self.ask("POST", f"{API}/instances/openclaw-app-callback", json=called)
        for headers in (
            {"Host": f"{CANARY}.example"},
            {"Origin": f"https://{CANARY}.example"},
            {"X-Tenant-Id": f"{CANARY} x"},
        ):
            self.ask("GET", f"{API}/sessions", headers=headers)
        for method, path in (
            ("GET", f"/{CANARY}"),
            ("GET", f"/schema/{CANARY}"),
            ("PUT", f"{API}/tasks"),
            ("GET", f"/%0a{CANARY}"),
            ("OPTIONS", "/"),
        ):
            self.ask(method, path)

    def socket(self) -> None:
        address = self.url.replace("http", "ws") + f"{API}/sessions/"
        headers = {"X-Tenant-Id": TENANT}
        frames = (
            {"type": "prompt", "id": CANARY, "prompt": CANARY},
            {"type": CANARY},
            {"type": "cancel", "taskId": CANARY},
        )
        with connect(f"{address}{self.session}/stream?after=latest", additional_headers=headers) as one:
            for frame in (*map(json.dumps, frames), f"{{{CANARY}"):
                one.send(frame)
            for _ in range(6):
                with contextlib.suppress(TimeoutError):
                    self.evidence.sockets.append(str(one.recv(timeout=2)))
        for path in (f"{CANARY}/stream", f"{self.session}/stream?after={CANARY}"):
            with contextlib.suppress(WebSocketException), connect(address + path, additional_headers=headers) as one:
                one.recv(timeout=5)

    def without_a_database(self, owner: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(owner)["dbname"]
        admin = psycopg.conninfo.make_conninfo(owner, dbname="postgres")
        live = self.post("/tasks", {"prompt": f"{CANARY} [[words:40]] [[slow:0.05]]"})
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            refused = self.ask("POST", f"{API}/tasks", json={"prompt": CANARY})
            assert refused.status_code == 503, refused.text
            self.ask("GET", "/readyz")
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        deadline = time.monotonic() + 30
        while self.ask("GET", "/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self.ended(live["taskId"])


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
