"""``agentcore doctor``: what can be used here, and what is missing for the rest."""

import importlib.util
import sys

import anyio
from anyio import fail_after
from attrs import evolve

from agentcore.seal import Seal
from agentcore_adapters.engines.catalog import open_catalog
from agentcore_http import wiring
from agentcore_http.auth.choice import check
from agentcore_http.settings import Settings, SettingsError

PATIENCE_S = 60.0
LOCAL = "127.0.0.1"  # where else the server may listen is decided when it starts


def run(settings: Settings) -> int:
    """Print a line for each thing; return 0 if a prompt could be answered."""
    return anyio.run(_examine, settings)


async def _examine(settings: Settings) -> int:
    _say(f"python    ok       {sys.version.split()[0]}")
    store = await _store(settings)
    _say(f"store     {store}")
    _say("bus       ok       in this process (one node)")
    usable = False
    known = evolve(wiring.engine_settings(settings), bridges=wiring.bridges(settings, Seal(b"")))
    async with open_catalog(known) as engines:
        for state in engines.states():
            usable = usable or state.is_available
            found = "ok      " if state.is_available else "missing "
            _say(f"engine    {found} {state.name}: {state.reason or ', '.join(state.models) or 'ready'}")
    _say(f"auth      {_auth(settings)}")
    await _tools(settings)
    await _voice(settings)
    _say(f"data dir  {settings.data}")
    return 0 if usable and store.startswith("ok") else 1


def _auth(settings: Settings) -> str:
    try:
        check(settings, LOCAL, keeps_keys=True)
    except SettingsError as error:
        return f"missing  {error}"
    return f"ok       {settings.auth or 'none'}"


async def _tools(settings: Settings) -> None:
    if settings.tools_mcp_config is None:
        _say("tools     none     Set AGENTCORE_TOOLS_MCP_CONFIG to a file mcp.json.")
        return
    if importlib.util.find_spec("mcp") is None:
        _say("tools     missing  MCP: pip install 'agentcore[mcp]'")
        return
    from agentcore_adapters.tools.mcp import mcp_states  # noqa: PLC0415 - needs its extra

    async with wiring.toolbox(settings) as tools:
        for state in mcp_states(tools):
            found = (
                f"missing  {state.name}: {state.reason}" if state.reason else f"ok       {state.name}: {state.tools}"
            )
            _say(f"tools     {found}{'' if state.reason else ' tools'}")


async def _voice(settings: Settings) -> None:
    if settings.stt is None:
        _say("voice     none     Set AGENTCORE_STT to openai or faster_whisper.")
        return
    try:
        async with wiring.listener(settings):
            _say(f"voice     ok       {settings.stt}")
    except SettingsError as error:
        _say(f"voice     missing  {error}")


async def _store(settings: Settings) -> str:
    if importlib.util.find_spec("psycopg") is None:
        return "missing  PostgreSQL: pip install 'agentcore[postgres]'"
    try:
        with fail_after(PATIENCE_S):
            async with wiring.database(settings):
                where = "AGENTCORE_DATABASE_URL" if settings.database_url else "embedded, in the data dir"
                return f"ok       PostgreSQL, {where}"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it is what the person wants to know
        return f"missing  PostgreSQL: {str(error) or type(error).__name__}"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is the command line
