"""A server that cannot start says why in one line."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agentcore_adapters.testing.provider import running_provider
from agentcore_http import serve, wiring


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AGENTCORE_USAGE_WEBHOOK": "http://127.0.0.1:9"}, "AGENTCORE_USAGE_WEBHOOK_SECRET"),
        ({"AGENTCORE_STT": "openai"}, "OPENAI_API_KEY"),
        ({"AGENTCORE_STT": "nobody"}, "AGENTCORE_STT must be openai or faster_whisper"),
        ({"AGENTCORE_TOOLS_MCP_CONFIG": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTCORE_", "OPENAI_"))}
    command = [sys.executable, "-m", "agentcore_http", "serve", "--port", "0", "--store", "memory"]
    more = {"AGENTCORE_DATA_DIR": str(tmp_path), "ANTHROPIC_API_KEY": "k", **variables}
    ended = subprocess.run(
        command, check=False, env=environ | more, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode in {1, 2}
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr


ALONE = """
import sys
from agentcore_http.__main__ import main
from agentcore_http.settings import LOOPBACK

def hook(event, args):
    host = {"socket.connect": lambda: args[1][0], "socket.getaddrinfo": lambda: args[0]}.get(event, lambda: None)()
    if isinstance(host, str) and host not in LOOPBACK:
        print("called", host, file=sys.stderr, flush=True)

sys.modules["uvloop"] = None  # Python does not see its sockets
sys.addaudithook(hook)
sys.exit(main(["serve", "--port", "0", "--store", "memory"]))
"""
ASK = """
import sys, time, httpx2
api = sys.argv[1] + "/api/v1/agent/tasks"
task = httpx2.post(api, json={"prompt": "[[say:hello]]"}).json()["taskId"]
while (found := httpx2.get(f"{api}/{task}").json())["status"] not in ("completed", "failed"):
    time.sleep(0.05)
print(found["status"], httpx2.get(sys.argv[1] + "/metrics").status_code)
"""


def test_SEC32_a_server_calls_nobody_but_whom_it_was_told_of(tmp_path: Path) -> None:
    """No update check, no telemetry of a library, nothing that is fetched on first use."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTCORE_", "OPENAI_"))}
    with running_provider() as provider:
        environ |= {"AGENTCORE_DATA_DIR": str(tmp_path), "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": provider.url}
        command = [sys.executable, "-c", ALONE]
        with subprocess.Popen(
            command, env=environ, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as server:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            asked = subprocess.run([sys.executable, "-c", ASK, url], capture_output=True, text=True, check=False)
            server.terminate()
            said = server.communicate(timeout=30)[1]
    assert asked.stdout == "completed 200\n", asked.stderr
    assert (server.returncode, "called" in said) == (0, False), said


@pytest.mark.anyio
async def test_small_answers_are_not_held_back() -> None:
    """A head and a body that are written apart cost 40 ms if the second waits for the first to be acknowledged."""
    accepted: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    class Visitor(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            found = transport.get_extra_info("socket")
            accepted.set_result(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    with serve._listen(wiring.Place(port=0)) as listener:
        server = await asyncio.get_running_loop().create_server(Visitor, sock=listener)
        with socket.create_connection(listener.getsockname()):
            assert await asyncio.wait_for(accepted, 5)
        server.close()
