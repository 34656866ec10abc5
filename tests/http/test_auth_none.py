"""Mode ``none``, and what holds for every mode: which routes ask, and when a server does not start."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from os import environ
from pathlib import Path
from typing import Any

import httpx2
import pytest
from attrs import evolve
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from tests.support.server import listening_on, serving
from tests.support.tokens import (
    GATEWAY_SECRET,
    KEYS,
    Issuer,
    gateway_settings,
    guarded,
    jwt_settings,
    memory,
    refusals,
)

from agentcore.ids import SessionId, TenantId
from agentcore_http import serve, settings, wiring
from agentcore_http.app import API, create_app
from agentcore_http.auth.choice import check
from agentcore_http.auth.identifier import Identifier, Needs, needs
from agentcore_http.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio
UNKNOWN = "00000000-0000-4000-8000-000000000000"
OPEN = {  # what needs no identity, and why that is so stands where it is declared
    ("GET", "/"),
    ("GET", "/assets/{name:str}"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/readyz"),
    ("POST", f"{API}/instances/openclaw-app-callback"),
    ("GET", "/schema"),
    ("GET", "/schema/openapi.json"),
    ("GET", "/schema/asyncapi.json"),
    ("GET", "/schema/{path:str}"),
}


def handlers(app: Litestar) -> Iterator[tuple[str, str, Any]]:
    for route in app.routes:
        single = getattr(route, "route_handler", None)
        for handler in getattr(route, "route_handlers", None) or [single]:
            if isinstance(handler, HTTPRouteHandler):
                for method in handler.http_methods:
                    yield str(method), route.path, handler
            else:
                assert isinstance(handler, WebsocketRouteHandler)
                yield "WEBSOCKET", route.path, handler


def an_app(**more: Any) -> Litestar:
    return create_app(lambda: None, evolve(Settings(), **more))  # type: ignore[arg-type, return-value]


def test_every_route_needs_an_identity_unless_it_says_otherwise() -> None:
    found = {(method, path): needs(handler.opt) for method, path, handler in handlers(an_app())}
    assert {place for place, needed in found.items() if needed is Needs.NOTHING and place[0] != "OPTIONS"} == OPEN
    agents = {place for place, needed in found.items() if needed is Needs.CALLER_OR_AGENT}
    assert agents == {("POST", f"{API}/sessions/{{session_id:str}}/oauth-trigger")}
    assert len([needed for needed in found.values() if needed is Needs.CALLER]) > 20


@pytest.mark.parametrize("mode", ["gateway", "jwt"])
async def test_T3_without_identity_every_route_is_closed(mode: str) -> None:
    mine = gateway_settings() if mode == "gateway" else jwt_settings()
    async with guarded(mine, Issuer()) as served:
        for method, path, _ in handlers(an_app()):
            if (method, path) in OPEN or method in {"WEBSOCKET", "OPTIONS"}:
                continue
            for name in ("session_id", "task_id", "instance_id", "event_id"):
                path = path.replace(f"{{{name}:str}}", UNKNOWN)  # noqa: PLW2901
            with refusals() as reasons:
                answer = await served.http.request(method, served.url + path)
            assert (answer.status_code, len(reasons)) == (401, 1), (method, path)
        for path in ("/healthz", "/readyz", "/schema/openapi.json"):
            assert (await served.http.get(served.url + path)).status_code == 200
        callback = await served.http.post(f"{served.url}{API}/instances/openclaw-app-callback", json={})
        assert callback.json()["code"] == "callback_unverified"
        assert (await served.http.get(f"{served.url}/nowhere")).status_code == 404


async def test_a_new_route_without_a_word_needs_an_identity() -> None:
    @get("/new")
    async def new() -> str:
        return "shown"

    app = Litestar([new], middleware=[Identifier], openapi_config=None, logging_config=None)

    class Nobody:
        mode = "test"

        async def identify(self, _: object) -> None:
            from agentcore_http.auth.identity import NotProved

            raise NotProved("nobody")

    app.state.authenticator, app.state.runtime = Nobody(), None
    async with listening_on(app) as url, httpx2.AsyncClient() as http:
        with refusals() as reasons:
            assert (await http.get(f"{url}/new")).status_code == 401
    assert reasons == ["nobody"]


@pytest.mark.parametrize("mode", ["none", "gateway", "jwt"])
async def test_an_agents_token_is_enough_for_its_own_route_alone(mode: str) -> None:
    mine = {"none": Settings(), "gateway": gateway_settings(), "jwt": jwt_settings()}[mode]
    issuer = Issuer()
    headers = {
        "none": {"X-Tenant-Id": "acme"},
        "gateway": {"X-Gateway-Secret": GATEWAY_SECRET, "X-Tenant-Id": "acme", "X-User-Id": "ann"},
        "jwt": {"Authorization": f"Bearer {issuer.token()}"},
    }[mode]
    async with guarded(mine, issuer) as served:
        person = evolve(served, headers=headers)
        session_id = (await person.done("x"))["sessionId"]
        token = {"X-OAuth-Token": served.runtime.seal.oauth_token(TenantId("acme"), SessionId(session_id))}
        body = {"provider": "mail", "url": "https://mail.example/consent"}
        agent = evolve(served, headers=token)
        asked = await agent.call("POST", f"/sessions/{session_id}/oauth-trigger", body, Idempotency_Key="k")
        again = await agent.call("POST", f"/sessions/{session_id}/oauth-trigger", body, Idempotency_Key="k")
        assert (asked.status_code, again.headers.get("idempotency-replayed")) == (201, "true")
        assert [e["type"] for e in await person.log(session_id)].count("oauth_prompt") == 1
        forged = evolve(served, headers={"X-OAuth-Token": token["X-OAuth-Token"][:-1] + "0x"})
        refused = await forged.call("POST", f"/sessions/{session_id}/oauth-trigger", body)
        elsewhere = await agent.call("POST", f"/sessions/{UNKNOWN}/oauth-trigger", body)
        assert (refused.status_code, elsewhere.status_code) == (404, 404)
        if mode != "none":
            with refusals() as reasons:
                assert (await agent.call("GET", f"/sessions/{session_id}")).status_code == 401
            assert len(reasons) == 1
            assert (await served.call("POST", f"/sessions/{session_id}/oauth-trigger", body)).status_code == 401


async def test_SEC01_a_page_of_somebody_else_has_no_effect() -> None:
    async with serving(*memory()) as served:
        body = {"prompt": "x"}
        tries = (
            {"Host": "evil.example"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "[::2]"},
            {"Host": ""},
            {"X-Forwarded-Host": "127.0.0.1", "Host": "evil.example"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec-Fetch-Site": "cross-site"},
        )
        for headers in tries:
            answer = await served.http.post(f"{served.url}{API}/tasks", json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused"), headers
            assert not [name for name in answer.headers if name.startswith("access-control")]
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            form = await served.http.post(f"{served.url}{API}/tasks", content="{}", headers={"Content-Type": kind})
            assert form.status_code == 415
        bare = await served.http.request("POST", f"{served.url}{API}/tasks", content=b'{"prompt":"x"}')
        assert bare.status_code == 415
        assert (await served.get("/sessions"))["items"] == []


async def test_SEC01_there_is_no_cors_without_tokens() -> None:
    mine = evolve(Settings(), origins=("https://app.example",))
    async with serving(*memory(), mine) as served:
        answer = await served.call("GET", "/sessions", Origin="https://app.example")
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]


JWT = {
    "AGENTCORE_AUTH": "jwt",
    "AGENTCORE_JWT_JWKS": "https://issuer.example/jwks",
    "AGENTCORE_JWT_ISSUER": "https://issuer.example/",
    "AGENTCORE_JWT_AUDIENCE": "agentcore",
}
GATEWAY = {"AGENTCORE_AUTH": "gateway", "AGENTCORE_GATEWAY_SECRET": "g" * 32}
KEY = {"AGENTCORE_SECRET_KEY": "k" * 32}
REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({}, "0.0.0.0", "AGENTCORE_AUTH is none"),
    ({}, "192.0.2.7", "AGENTCORE_AUTH is none"),
    ({}, "::", "AGENTCORE_AUTH is none"),
    ({"AGENTCORE_AUTH": "None"}, "127.0.0.1", "AGENTCORE_AUTH must be none, gateway or jwt"),
    ({"AGENTCORE_AUTH": "gateway"}, "127.0.0.1", "AGENTCORE_GATEWAY_SECRET"),
    (GATEWAY | {"AGENTCORE_GATEWAY_SECRET": "g" * 31}, "127.0.0.1", "AGENTCORE_GATEWAY_SECRET must be 32 characters"),
    (GATEWAY | {"AGENTCORE_GATEWAY_SECRET": f"{'g' * 32},short"}, "127.0.0.1", "AGENTCORE_GATEWAY_SECRET must be"),
    (GATEWAY | {"AGENTCORE_GATEWAY_SECRET": ",".join("abc" * 32)}, "127.0.0.1", "AGENTCORE_GATEWAY_SECRET must be"),
    ({"AGENTCORE_AUTH": "jwt"}, "127.0.0.1", "AGENTCORE_JWT_JWKS, AGENTCORE_JWT_ISSUER, AGENTCORE_JWT_AUDIENCE"),
    (JWT | {"AGENTCORE_JWT_ISSUER": ""}, "127.0.0.1", "needs AGENTCORE_JWT_ISSUER."),
    (JWT | {"AGENTCORE_JWT_AUDIENCE": ""}, "127.0.0.1", "needs AGENTCORE_JWT_AUDIENCE."),
    (JWT | {"AGENTCORE_JWT_AUDIENCE": " , "}, "127.0.0.1", "AGENTCORE_JWT_AUDIENCE must be at least one"),
    (JWT | {"AGENTCORE_JWT_ALGORITHMS": "HS256"}, "127.0.0.1", "AGENTCORE_JWT_ALGORITHMS must be some of RS256"),
    (JWT | {"AGENTCORE_JWT_ALGORITHMS": "RS256,HS512"}, "127.0.0.1", "AGENTCORE_JWT_ALGORITHMS must be some of"),
    (JWT | {"AGENTCORE_JWT_ALGORITHMS": "none"}, "127.0.0.1", "AGENTCORE_JWT_ALGORITHMS must be some of"),
    (JWT | {"AGENTCORE_JWT_LEEWAY_SECONDS": "61"}, "127.0.0.1", "AGENTCORE_JWT_LEEWAY_SECONDS must be 0 to 60"),
    (JWT | {"AGENTCORE_JWT_LEEWAY_SECONDS": "nan"}, "127.0.0.1", "AGENTCORE_JWT_LEEWAY_SECONDS must be 0 to 60"),
    (JWT | {"AGENTCORE_JWT_JWKS": "ftp://issuer.example/jwks"}, "127.0.0.1", "AGENTCORE_JWT_JWKS must be a file"),
    (JWT | {"AGENTCORE_JWT_JWKS": "https://u:p@issuer.example/"}, "127.0.0.1", "AGENTCORE_JWT_JWKS must be a file"),
    (JWT | {"AGENTCORE_JWT_JWKS": "https://[::1/jwks"}, "127.0.0.1", "AGENTCORE_JWT_JWKS must be a file"),
    (JWT | {"AGENTCORE_JWT_JWKS": "https://issuer.example:99999/"}, "127.0.0.1", "AGENTCORE_JWT_JWKS must be a file"),
    (JWT | {"AGENTCORE_JWT_JWKS": "/nowhere/keys.json"}, "127.0.0.1", "AGENTCORE_JWT_JWKS: the file cannot be read"),
    (JWT, "0.0.0.0", "Set AGENTCORE_SECRET_KEY"),
    (GATEWAY, "0.0.0.0", "Set AGENTCORE_SECRET_KEY"),
    (GATEWAY | {"AGENTCORE_SECRET_KEY": "changeme"}, "0.0.0.0", "AGENTCORE_SECRET_KEY must be 32 bytes"),
    (JWT | {"AGENTCORE_ORIGINS": "*"}, "127.0.0.1", "AGENTCORE_ORIGINS must be origins such as"),
    (JWT | {"AGENTCORE_ORIGINS": "https://*.example"}, "127.0.0.1", "AGENTCORE_ORIGINS must be origins such as"),
    (JWT | {"AGENTCORE_ORIGINS": "https://app.example/path"}, "127.0.0.1", "AGENTCORE_ORIGINS must be"),
]


@pytest.mark.parametrize(("variables", "host", "said"), REFUSED)
def test_a_server_that_would_let_in_anybody_does_not_start(variables: dict[str, str], host: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check(settings.load(variables), host, keeps_keys=False)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "changeme" not in str(refused.value)


@pytest.mark.parametrize("variables", [GATEWAY, JWT])
def test_with_identity_it_may_listen_anywhere(variables: dict[str, str]) -> None:
    check(settings.load(variables | KEY), "0.0.0.0", keeps_keys=False)
    check(settings.load(variables), "0.0.0.0", keeps_keys=True)
    check(settings.load(variables), "127.0.0.1", keeps_keys=False)


def test_a_key_set_without_a_key_of_use_is_no_key_set(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(Issuer({"ec": KEYS["ec"]}).jwks())
    told = JWT | {"AGENTCORE_JWT_JWKS": str(tmp_path / "keys.json")}
    check(settings.load(told), "127.0.0.1", keeps_keys=True)
    for content, algorithms in ((None, "RS256"), (b"{}", "ES256"), (b"nothing", "ES256"), (b'{"keys":[7]}', "ES256")):
        if content is not None:
            (tmp_path / "keys.json").write_bytes(content)
        with pytest.raises(SettingsError, match="AGENTCORE_JWT_JWKS: there is no"):
            check(settings.load(told | {"AGENTCORE_JWT_ALGORITHMS": algorithms}), "127.0.0.1", keeps_keys=True)


def test_cryptography_is_imported_on_first_use() -> None:
    code = "import agentcore_http.serve, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jwt", "cryptography"} & set(done.stdout.split())


def test_a_made_key_counts_where_it_will_be_found_again(tmp_path: Path) -> None:
    mine = evolve(Settings(), data_dir=tmp_path)
    assert wiring.keeps_keys(mine, wiring.Place(store="postgres"))
    assert not wiring.keeps_keys(mine, wiring.Place(store="memory"))
    assert not wiring.keeps_keys(evolve(mine, database_url="postgresql://x@h/d"), wiring.Place())
    wiring.secret_key(mine)
    assert wiring.keeps_keys(mine, wiring.Place(store="memory"))


@pytest.mark.slow
@pytest.mark.parametrize(("more", "warned"), [(GATEWAY, "gateway"), ({}, "none")])
def test_the_command_starts_and_says_whom_it_trusts(tmp_path: Path, more: dict[str, str], warned: str) -> None:
    clean = {name: value for name, value in environ.items() if not name.startswith("AGENTCORE_")}
    host = "127.0.0.1" if warned == "none" else "0.0.0.0"
    command = [sys.executable, "-m", "agentcore_http", "serve", "--store", "memory", "--port", "0", "--host", host]
    env = clean | {"AGENTCORE_DATA_DIR": str(tmp_path), "ANTHROPIC_API_KEY": "k", **KEY, **more}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            port = int(line.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), 5):
                pass
            status = httpx2.get(f"http://127.0.0.1:{port}{API}/sessions").status_code
        finally:
            child.terminate()
        _, errors = child.communicate(timeout=30)
    assert status == (200 if warned == "none" else 401)
    assert f'"mode":"{warned}"' in errors.splitlines()[0]
    assert serve.MAX_FRAME_BYTES
