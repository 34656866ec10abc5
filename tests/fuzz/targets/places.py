"""Cursors, times, headers, ids: what stands in addresses and headers."""

from datetime import UTC

from agentcore.errors import InvalidRequest, NotFound, OriginRefused, UnsupportedMedia
from agentcore.feed import Latest, parse_after
from agentcore.follow import Cursor
from agentcore.messages import is_storable
from agentcore_http import idempotency
from agentcore_http.auth import none
from agentcore_http.auth.identity import Headers
from agentcore_http.auth.origin import Doorman
from agentcore_http.routes import sessions, usage
from agentcore_http.uploads import _language
from agentcore_http.wire import instances, requests
from tests.fuzz.targets import Target, lines

BIGGEST = 2**63 - 1
CURSORS = (b"0", b"7", b"7.12", b"latest", b"", b"999999999999999999.999999999", b"-1", "٧".encode(), b"7.", b"1e3")


def after(data: bytes) -> object:
    found = parse_after(data.decode(errors="replace"))
    if isinstance(found, Cursor):
        assert 0 <= found.seq <= BIGGEST
        assert 0 <= found.offset <= BIGGEST
        assert Cursor.parse(str(found)) == found
        assert len(str(found)) <= 64
    else:
        assert found in (None, Latest)
    return found


def pair(data: bytes) -> object:
    seq, n = sessions._pair(data.decode(errors="replace"))
    assert 0 <= seq <= BIGGEST
    assert 0 <= n <= 2**31 - 1
    return seq, n


def session_cursor(data: bytes) -> object:
    at, found = sessions._session_cursor(data.decode(errors="replace"))
    assert at.tzinfo is not None, "it is compared with times that have one"
    return at.astimezone(UTC), requests.session_id(found)


def time(data: bytes) -> object:
    found = usage._time(data.decode(errors="replace"), "from")
    assert found is not None
    assert found.tzinfo is not None
    return found.astimezone(UTC)


def ids(data: bytes) -> object:
    text = data.decode(errors="replace")
    found = [str(requests.session_id(text)), str(requests.task_id(text)), str(instances.instance_id(text))]
    assert all(len(one) == 36 and one == one.lower() for one in found)
    return found


def caller(data: bytes) -> object:
    names = ("x-tenant-id", "x-user-id", "x-user-email")
    headers = Headers.of(zip((name.encode() for name in names), lines(data), strict=False))
    step = none.Trusting().identify(headers)
    try:
        step.send(None)  # nothing in it waits
    except StopIteration as done:
        found = done.value.caller
    else:
        raise AssertionError("the mode none asks nobody")
    assert is_storable(found.tenant_id)
    assert is_storable(found.subject)
    return found


def door(data: bytes) -> object:
    names = ("host", "origin", "sec-fetch-site", "content-type", "content-length")
    headers = dict(zip(names, (line.decode("latin-1") for line in lines(data)), strict=False))
    Doorman(None, ("https://ours.example", "[::1]:9")).check("POST", headers)  # type: ignore[arg-type]
    return headers


def key(data: bytes) -> object:
    text = data.decode("latin-1")
    idempotency.checked(text)
    assert 1 <= len(text) <= 255
    assert text.isascii()
    return text


TARGETS = [
    Target(name="cursor_of_events", run=after, allowed=(InvalidRequest,), seeds=CURSORS),
    Target(name="cursor_of_pages", run=pair, allowed=(InvalidRequest,), seeds=CURSORS),
    Target(
        name="cursor_of_sessions",
        run=session_cursor,
        allowed=(InvalidRequest,),
        seeds=[
            b"MjAyNi0wMS0wMVQwMDowMDowMCswMDowMCAwMTkwYzJkNC03YTFlLTdjM2ItOWYwYS01ZDJlOGI2YzFhMzQ=",
            b"MjAyNi0wMS0wMSAwMTkwYzJkNC03YTFlLTdjM2ItOWYwYS01ZDJlOGI2YzFhMzQ=",
        ],
    ),
    Target(
        name="time",
        run=time,
        allowed=(InvalidRequest,),
        seeds=[b"2026-11-24", b"2026-11-24T09:30:00Z", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59"],
    ),
    Target(
        name="ids", run=ids, allowed=(NotFound,), seeds=[b"0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34", "١".encode() * 36]
    ),
    Target(
        name="caller", run=caller, allowed=(InvalidRequest,), seeds=[b"acme\nalice\na@b.example", b"\n\n", b"a\nb\x00"]
    ),
    Target(
        name="door",
        run=door,
        allowed=(OriginRefused, UnsupportedMedia),
        seeds=[b"127.0.0.1:8000\n\n\napplication/json\n2", b"[::1]:1\nhttp://[::1]:1", b"localhost", b"[::1"],
    ),
    Target(name="idempotency_key", run=key, allowed=(InvalidRequest,), seeds=[b"a", b"x" * 255, b"\x7f", b" "]),
    Target(
        name="language",
        run=_language,
        allowed=(InvalidRequest,),
        seeds=[b"en", b" ZH ", b"", b"klingon", "ｅｎ".encode()],
    ),
]
