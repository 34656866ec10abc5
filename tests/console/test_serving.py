"""What the server hands out at ``/``, to whom and how."""

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.server import Served
from tests.support.tokens import Issuer, gateway_settings, guarded, jwt_settings

from agentcore_http.routes import console

pytestmark = pytest.mark.anyio
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A console, as the build leaves one."""
    (tmp_path / "assets").mkdir()
    script = b"export const answer = 42;\n" * 100
    (tmp_path / "index.html").write_bytes(b"<!doctype html><title>agentcore</title>")
    (tmp_path / "assets/console-AB12.js").write_bytes(script)
    (tmp_path / "assets/console-AB12.js.gz").write_bytes(gzip.compress(script))
    (tmp_path / "licences.txt").write_text("MIT")
    yield from _placed(tmp_path, monkeypatch)


@pytest.fixture
def missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No console at all."""
    yield from _placed(tmp_path, monkeypatch)


def _placed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(console, "FOLDER", folder)
    _forget()
    yield folder
    _forget()


def _forget() -> None:
    console.page.cache_clear()
    console.assets.cache_clear()


async def test_SEC30_the_page_may_load_what_is_here_and_nothing_else(served: Served, built: Path) -> None:
    answer = await served.http.get(served.url + "/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not [rule for rule in policy.values() if "unsafe" in rule or "*" in rule or "http" in rule]
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["permissions-policy"].startswith("microphone=(self), camera=()")
    assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert answer.headers["cache-control"] == "no-cache"
    again = await served.http.get(served.url + "/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_what_it_loads_is_kept_for_ever_and_packed(served: Served, built: Path) -> None:
    address = served.url + "/assets/console-AB12.js"
    packed = await served.http.get(address, headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 200 < len(packed.content)
    plain = await served.http.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == packed.content
    for answer in (packed, plain):
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Findex.html", "%2e%2e%2flicences.txt", "console-AB12.js.gz", "licences.txt", "x" * 5000]
)
async def test_SEC30_nothing_else_is_handed_out(served: Served, built: Path, name: str) -> None:
    answer = await served.http.get(f"{served.url}/assets/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_without_a_console_the_page_says_so(served: Served, missing: Path) -> None:
    answer = await served.http.get(served.url + "/")
    assert answer.status_code == 200
    assert "AGENTCORE_CONSOLE=skip" in answer.text
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert (await served.http.get(served.url + "/assets/console-AB12.js")).status_code == 404


@pytest.mark.parametrize("mode", ["jwt", "gateway"])
async def test_the_page_needs_no_identity_and_what_it_asks_does(built: Path, mode: str) -> None:
    settings = jwt_settings() if mode == "jwt" else gateway_settings()
    async with guarded(settings, Issuer() if mode == "jwt" else None) as served:
        assert (await served.http.get(served.url + "/")).status_code == 200
        assert (await served.http.get(served.url + "/assets/console-AB12.js")).status_code == 200
        assert (await served.call("GET", "/sessions")).status_code == 401


async def test_SEC31_a_link_leads_to_the_page_and_no_further(served: Served, built: Path) -> None:
    assert (await served.http.get(served.url + "/", headers=LINK)).status_code == 200
    for headers in (
        LINK | {"Sec-Fetch-Dest": "iframe"},
        LINK | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
        LINK | {"Origin": "https://evil.example"},
        LINK | {"Host": "evil.example"},
    ):
        assert (await served.http.get(served.url + "/", headers=headers)).status_code == 403, headers
    assert (await served.http.get(served.url + "/assets/console-AB12.js", headers=LINK)).status_code == 403
    assert (
        await served.call("GET", "/sessions", **{n.replace("-", "_"): v for n, v in LINK.items()})
    ).status_code == 403


async def test_its_methods_are_named_and_it_is_in_no_document(served: Served, built: Path) -> None:
    refused = await served.http.post(served.url + "/", json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, OPTIONS")
    document = (await served.http.get(served.url + "/schema")).json()
    assert not [path for path in document["paths"] if path == "/" or path.startswith("/assets")]


def test_nothing_is_read_before_somebody_looks() -> None:
    code = """
import sys
sys.addaudithook(lambda event, what: print(what[0]) if event == "open" and "http/console/" in str(what[0]) else None)
from agentcore_http.app import create_app
from agentcore_http.settings import Settings
create_app(lambda: None, Settings())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_the_page_that_was_built_has_nothing_inline() -> None:
    source = Path(__file__).parent.parent.parent / "console/src/index.html"
    html = source.read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", html)
