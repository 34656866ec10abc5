"""The terminal client and the server's own key reading, with a token."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import evolve
from tests.support.server import Served, serving
from tests.support.tokens import KEYS, Issuer, fresh_key, guarded, jwt_settings, memory

from agentcore_http import chat, doctor, settings, wiring
from agentcore_http.__main__ import main
from agentcore_http.auth import keys
from agentcore_http.client import ApiError, AsyncClient
from agentcore_http.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def asked(issuer: Issuer) -> AsyncIterator[Served]:
    async with guarded(jwt_settings(), issuer) as served:
        yield served


async def test_a_client_with_a_token_talks_and_one_without_does_not(
    asked: Served, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncClient(asked.url) as client:
        with pytest.raises(ApiError) as refused:
            await client.create_task("x")
        assert (refused.value.status, refused.value.code) == (401, "unauthenticated")
    monkeypatch.setenv("AGENTCORE_TOKEN", issuer.token())
    async with AsyncClient(asked.url, token=chat.token_of(None)) as client:
        task = await client.create_task("[[say:hello]]")
        told = [event.type async for event in client.follow(task.session_id, task.task_id)]
        assert told[-1] == "completed"
    file = tmp_path / "token"
    file.write_text(f"{issuer.token(exp=1)}\n")
    async with AsyncClient(asked.url, token=chat.token_of(file)) as client:
        with pytest.raises(ApiError):
            await client.get_session(task.session_id)
        file.write_text(issuer.token())  # renewed meanwhile
        assert (await client.get_session(task.session_id)).id == task.session_id


def test_the_token_is_no_argument_and_no_setting_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settings.load({"AGENTCORE_TOKEN": "secret"}) == Settings()
    monkeypatch.delenv("AGENTCORE_TOKEN", raising=False)
    assert chat.token_of(None) is None
    assert main(["chat", "--token-file", str(tmp_path / "nowhere")]) == 2
    assert "--token-file: nowhere cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["chat", "--token", "x"])


async def test_doctor_says_what_identity_lacks(tmp_path: Path, issuer: Issuer) -> None:
    async def said(found: Settings) -> str:
        return str(await doctor.auth(found, wiring.Place()))

    path = tmp_path / "keys.json"
    assert await said(Settings()) == "auth      ok       none"
    assert (await said(jwt_settings(jwt_issuer=None))).endswith("AGENTCORE_AUTH=jwt needs AGENTCORE_JWT_ISSUER.")
    away = await said(jwt_settings(jwt_jwks=path))
    assert away.startswith("auth      missing  AGENTCORE_JWT_JWKS: the file cannot be read (No such file")
    path.write_text('{"keys": []}')
    assert (await said(jwt_settings(jwt_jwks=path))).startswith("auth      missing")
    path.write_bytes(issuer.jwks())
    assert await said(jwt_settings(jwt_jwks=path)) == "auth      ok       jwt"
    nobody = await said(jwt_settings(jwt_jwks="http://127.0.0.1:9/keys"))
    assert nobody.startswith("auth      missing  jwt: the keys cannot be read (")
    assert nobody.endswith("see AGENTCORE_JWT_JWKS.")
    assert "127.0.0.1" not in nobody


@pytest.mark.parametrize("place", ["environment", "file"])
async def test_keys_are_read_from_a_file_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    issuer = Issuer({"rsa": KEYS["rsa"]})
    (tmp_path / "keys.json").write_bytes(issuer.jwks())
    told = {"jwt_jwks": "keys.json", "jwt_issuer": "https://issuer.example/", "jwt_audience": ["agentcore"]}
    if place == "file":  # a path in a file is meant as seen from there
        lines = [f"{name} = {json.dumps(value)}" for name, value in ({"auth": "jwt"} | told).items()]
        (tmp_path / "agentcore.toml").write_text("\n".join(lines))
        mine = settings.load({}, tmp_path / "agentcore.toml")
    else:
        mine = evolve(jwt_settings(), jwt_jwks=tmp_path / "keys.json")
    monkeypatch.setattr(keys, "AGAIN_S", 0.05)
    async with serving(*memory(), mine, keys=wiring.fetch_keys(mine)) as served:
        only = jwt_without_kid(issuer)
        for token in (issuer.token(), only):
            answer = await served.call("GET", "/sessions", Authorization=f"Bearer {token}")
            assert answer.status_code == 200
        issuer.keys = {"rsa-2": fresh_key("rsa")}
        (tmp_path / "keys.json").write_bytes(issuer.jwks())
        fresh = issuer.token(header={"kid": "rsa-2"})
        assert (await served.call("GET", "/sessions", Authorization=f"Bearer {fresh}")).status_code == 200
        assert (await served.call("GET", "/sessions", Authorization=f"Bearer {only}")).status_code == 401


def jwt_without_kid(issuer: Issuer) -> str:
    import jwt
    from tests.support.tokens import a_claims

    return jwt.encode(a_claims(), issuer.keys["rsa"], algorithm="RS256", headers={"typ": "JWT"})


def test_what_cannot_verify_is_no_key() -> None:
    good = json.loads(Issuer({"rsa": KEYS["rsa"]}).jwks())["keys"][0]
    weak = json.loads(Issuer({"ec": KEYS["ec"]}).jwks())["keys"][0]
    bad = [
        {"kty": "oct", "kid": "hs", "k": "c2VjcmV0"},
        good | {"use": "enc", "kid": "1"},
        good | {"key_ops": ["sign"], "kid": "2"},
        good | {"alg": "RS512", "kid": "3"},
        good | {"kid": 7},
        good | {"n": "!", "kid": "4"},
        {"kty": "RSA", "kid": "5"},
        weak | {"crv": "P-384", "kid": "6"},
        weak | {"x": weak["y"], "kid": "7"},
        "key",
        None,
    ]
    for entry in bad:
        with pytest.raises(keys.NoKeys):
            keys.parse(json.dumps({"keys": [entry]}).encode(), ("RS256", "ES256"))
    found = keys.parse(
        json.dumps({"keys": [*bad, good, weak | {"alg": "ES256"}]}).encode(), ("RS256", "PS256", "ES256")
    )
    assert set(found) == {("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256")}
    for body in (b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": 1}', b"[" * 100_000):
        with pytest.raises(keys.NoKeys):
            keys.parse(body, ("RS256",))
