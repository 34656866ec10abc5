"""``agentcore doctor``: what can be used here, and what is missing for the rest.

Law: a finding names the setting that mends it, never a value of a secret one.  What is ``missing`` keeps the server
from starting or from answering a prompt, and the exit status is 1; what is ``odd`` does not, and is worth a look.
"""

import errno
import importlib.util
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
from anyio import fail_after, move_on_after
from attrs import evolve, frozen

from agentcore.errors import IdentityUnavailable
from agentcore.seal import Seal
from agentcore_adapters.engines.catalog import open_catalog
from agentcore_http import wiring
from agentcore_http.auth.choice import check
from agentcore_http.cluster import nats
from agentcore_http.settings import Settings, SettingsError
from agentcore_http.wire import json

PATIENCE_S = 60.0
NATS_S, POLL_S = 5.0, 0.02
FREE_BYTES = 1024**3  # a fresh embedded database takes 50 MB, its journal up to 1 GB
SKEW_S = 2.0  # leases and deadlines are told by the database's clock, tokens and logs by ours
OK, NONE, ODD, MISSING = "ok", "none", "odd", "missing"
SHAPES = (
    ("anthropic_api_key", "anthropic_base_url", "ANTHROPIC_API_KEY", "sk-ant-"),
    ("openai_api_key", "openai_base_url", "OPENAI_API_KEY", "sk-"),
)


@frozen
class Finding:
    """What was found of one thing."""

    name: str
    state: str
    text: str
    is_needed: bool = True  #: Without it no prompt is answered.

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to do something before a prompt can be answered."""
        return self.is_needed and self.state == MISSING

    def __str__(self) -> str:
        return f"{self.name:<9} {self.state:<8} {self.text}"


def run(settings: Settings, place: wiring.Place, *, as_json: bool = False) -> int:
    """Print what is found; return 0 if a prompt could be answered."""
    return anyio.run(_tell, settings, place, as_json)


async def _tell(settings: Settings, place: wiring.Place, as_json: bool) -> int:  # noqa: FBT001 - anyio passes places
    found = []
    async for finding in findings(settings, place):
        found.append(finding)
        if not as_json:
            print(finding, flush=True)  # noqa: T201 - this is the command line
    is_well = not any(finding.is_bad for finding in found)
    if as_json:
        told = [{"name": one.name, "state": one.state, "text": one.text} for one in found]
        print(json.encode({"ok": is_well, "findings": told}).decode())  # noqa: T201
    return 0 if is_well else 1


async def findings(settings: Settings, place: wiring.Place) -> AsyncIterator[Finding]:
    """Look at one thing after another."""
    yield Finding("python", OK, sys.version.split()[0])
    for finding in _data_dir(settings.data):
        yield finding
    async for finding in _store(settings):
        yield finding
    yield await bus(settings)
    yield _port(place)
    async for finding in _engines(settings):
        yield finding
    for finding in keys(settings):
        yield finding
    yield await auth(settings, place)
    async for finding in tools(settings):
        yield finding
    async for finding in _rest(settings):
        yield finding


def _data_dir(folder: Path) -> Iterator[Finding]:
    above = next(one for one in (folder, *folder.parents) if one.exists())
    probe = above / f".doctor-{os.getpid()}"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        text = f"It cannot be written ({error.strerror}): set AGENTCORE_DATA_DIR, or give it to who runs the server."
        yield Finding("data dir", MISSING, text)
        return
    yield Finding("data dir", OK, str(folder))
    free = shutil.disk_usage(above).free
    said = f"{free / 1024**3:.1f} GB free"
    if free < FREE_BYTES:
        yield Finding("disk", ODD, f"{said}: free some, or set AGENTCORE_DATA_DIR to a larger one.")
    else:
        yield Finding("disk", OK, said)


async def _store(settings: Settings) -> AsyncIterator[Finding]:
    if importlib.util.find_spec("psycopg") is None:
        yield Finding("store", MISSING, "PostgreSQL: pip install 'agentcore[postgres]'")
        return
    try:
        with fail_after(PATIENCE_S):
            async with wiring.database(settings) as dsn:
                seen = await _look(dsn)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it is what the person wants to know
        yield Finding("store", MISSING, f"PostgreSQL: {str(error) or type(error).__name__}")
        return
    where = "AGENTCORE_DATABASE_URL" if settings.database_url else "embedded, in the data dir"
    yield Finding("store", OK, f"PostgreSQL, {where}{', behind a pooler' if seen.is_pooled else ''}")
    yield Finding("nodes", OK if seen.nodes else NONE, seen.nodes or "none is running")
    yield clock(seen.ahead_s)


@frozen
class _Seen:
    """What was seen of a database."""

    ahead_s: float  #: By how much its clock is ahead of ours.
    is_pooled: bool
    nodes: str  #: How many of which release.


async def _look(dsn: str) -> _Seen:
    import psycopg  # noqa: PLC0415 - needs its extra

    from agentcore_adapters.postgres.pooler import is_pooled  # noqa: PLC0415
    from agentcore_adapters.postgres.presence import beating, listed  # noqa: PLC0415

    async with await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, connect_timeout=10, prepare_threshold=None
    ) as connection:
        before = time.time()
        cursor = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        row = await cursor.fetchone()
        ahead = float(row[0]) - (before + time.time()) / 2 if row else 0.0
        return _Seen(ahead, await is_pooled(connection), listed(await beating(connection)))


def clock(ahead: float) -> Finding:
    """Judge by how much the database's clock is ahead."""
    if abs(ahead) > SKEW_S:
        by = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
        return Finding("clock", ODD, f"The database's is {by}: let NTP set both.")
    return Finding("clock", OK, "as the database's")


async def bus(settings: Settings) -> Finding:
    """Look whether the servers between the nodes can be reached."""
    try:
        async with nats(settings) as connection:
            with move_on_after(NATS_S):
                while connection is not None and not connection.is_connected:
                    await anyio.sleep(POLL_S)
            if connection is None:
                return Finding("bus", OK, "in this process (one node)")
            if connection.is_connected:
                return Finding("bus", OK, "NATS, AGENTCORE_NATS_URL")
    except SettingsError as error:
        return Finding("bus", MISSING, str(error))
    # Nodes serve without it, only later.
    return Finding("bus", ODD, "NATS: none of the servers of AGENTCORE_NATS_URL lets us in.", is_needed=False)


def _port(place: wiring.Place) -> Finding:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((place.host, place.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                text = f"{place.port} is used, perhaps by this server: if it is not, choose another with --port."
                return Finding("port", ODD, text)
            text = f"{place.port} cannot be listened on ({error.strerror}): choose another with --port or --host."
            return Finding("port", MISSING, text)
    return Finding("port", OK, str(place.port))


async def _engines(settings: Settings) -> AsyncIterator[Finding]:
    usable = False
    known = evolve(wiring.engine_settings(settings), bridges=wiring.bridges(settings, Seal(b"")))
    async with open_catalog(known) as engines:
        for state in engines.states():
            usable = usable or state.is_available
            text = f"{state.name}: {state.reason or ', '.join(state.models) or 'ready'}"
            yield Finding("engine", OK if state.is_available else MISSING, text, is_needed=False)
    if not usable:
        yield Finding("engines", MISSING, "None can be used: do what one of the lines above says.")


def keys(settings: Settings) -> Iterator[Finding]:
    """Judge the shape of keys that go to their own providers; whether they count only those can say."""
    for name, elsewhere, variable, begins in SHAPES:
        key = getattr(settings, name)
        if key is None or getattr(settings, elsewhere) is not None:
            continue
        if not key.startswith(begins) or not key.isascii() or not key.isprintable() or " " in key:
            yield Finding("key", ODD, f"{variable} does not look like one: it begins with {begins} and has no blanks.")


async def auth(settings: Settings, place: wiring.Place) -> Finding:
    """Look whether anybody could be recognised."""
    try:
        check(settings, place.host, keeps_keys=True)
    except SettingsError as error:
        return Finding("auth", MISSING, str(error))
    fetch = wiring.fetch_keys(settings)
    if fetch is not None:
        from agentcore_http.auth.keys import NoKeys, parse  # noqa: PLC0415 - needs its extra
        from agentcore_http.auth.reading import ALGORITHMS  # noqa: PLC0415

        try:
            parse(await fetch(), settings.jwt_algorithms or ALGORITHMS)
        except (IdentityUnavailable, NoKeys) as error:
            return Finding("auth", MISSING, f"jwt: the keys cannot be read ({error}): see AGENTCORE_JWT_JWKS.")
    return Finding("auth", OK, settings.auth or "none")


async def tools(settings: Settings) -> AsyncIterator[Finding]:
    """Look which MCP servers can be used; without one that cannot the others work."""
    if settings.tools_mcp_config is None:
        yield Finding("tools", NONE, "Set AGENTCORE_TOOLS_MCP_CONFIG to a file mcp.json.")
        return
    if importlib.util.find_spec("mcp") is None:
        yield Finding("tools", MISSING, "MCP: pip install 'agentcore[mcp]'")
        return
    from agentcore_adapters.tools.mcp import mcp_states  # noqa: PLC0415 - needs its extra

    try:
        async with wiring.toolbox(settings) as found:
            for state in mcp_states(found):
                if state.reason:
                    yield Finding("tools", MISSING, f"{state.name}: {state.reason}", is_needed=False)
                else:
                    yield Finding("tools", OK, f"{state.name}: {state.tools} tools")
    except SettingsError as error:
        yield Finding("tools", MISSING, str(error))


async def _rest(settings: Settings) -> AsyncIterator[Finding]:
    if settings.stt is None:
        yield Finding("voice", NONE, "Set AGENTCORE_STT to openai or faster_whisper.")
    else:
        try:
            async with wiring.listener(settings):
                yield Finding("voice", OK, settings.stt)
        except SettingsError as error:
            yield Finding("voice", MISSING, str(error))
    if settings.usage_webhook is not None:
        try:
            async with wiring.usage_sink(settings):
                yield Finding("usage", OK, "events are posted")
        except SettingsError as error:
            yield Finding("usage", MISSING, str(error))
        except ImportError:
            yield Finding("usage", MISSING, "events: pip install 'agentcore[webhook]'")
