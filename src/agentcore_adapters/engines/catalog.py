"""The engines of this server.

Law: every engine that is known is listed, usable or not, and one that is not says what to set.  A look-up has no
effect.
"""

import importlib.util
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from attrs import evolve, field, frozen

from agentcore.engine import Abilities, Engine, EngineState
from agentcore.errors import EngineUnavailable, UnknownEngine
from agentcore.ids import EngineName
from agentcore.policy import Policy
from agentcore.seal import Seal
from agentcore.tooling import Model, Toolbox, Toolboxes
from agentcore.toolloop import CALL_S, ToolLoop
from agentcore_adapters.engines import claude_agent_sdk, claude_api, claude_code_cli, local, openai, openclaw
from agentcore_adapters.engines.claude_agent_sdk import ClaudeAgentSdk
from agentcore_adapters.engines.claude_api import ClaudeModel
from agentcore_adapters.engines.claude_child import Program, find_binary
from agentcore_adapters.engines.claude_code_cli import ClaudeCodeCli
from agentcore_adapters.engines.llama import LlamaHost
from agentcore_adapters.engines.local import LocalModel
from agentcore_adapters.engines.openai import OpenAiModel
from agentcore_adapters.engines.openclaw import OpenClaw
from agentcore_adapters.engines.weights import (
    GGUF_SHA256,
    WeightsUnavailable,
    fetch_weights,
    weights_path,
)
from agentcore_adapters.netguard import Guard

NO_KEY_NEEDED = "not-needed"  # the SDKs insist on one; compatible servers often need none


class Closing(Model, Protocol):
    """A model that holds connections."""

    async def close(self) -> None:
        """Let them go."""


@frozen(kw_only=True)
class Equipment:
    """What models act with."""

    toolbox: Toolbox = Toolboxes()
    policy: Policy = Policy()
    call_s: float = CALL_S

    def engine(self, model: Model) -> Engine:
        """Make an engine of *model*."""
        return ToolLoop(
            model=model,
            toolbox=self.toolbox,
            policy=self.policy,
            now=lambda: datetime.now(UTC),
            new_id=lambda: str(uuid.uuid4()),
            call_s=self.call_s,
        )


@frozen(kw_only=True)
class EngineSettings:
    """What the engines are told."""

    data_dir: Path
    default: EngineName | None = None
    anthropic_api_key: str | None = field(default=None, repr=False)
    anthropic_base_url: str | None = None
    anthropic_model: str | None = None
    openai_api_key: str | None = field(default=None, repr=False)
    openai_base_url: str | None = None
    openai_model: str | None = None
    local_model: Path | None = None
    claude_bin: Path | None = None
    claude_model: str | None = None
    bridges: "Bridges | None" = None  #: How remote agents are reached; None: not at all.
    no_bridges: str = "It is not set up."  #: What to set, if they are not.


@frozen(kw_only=True)
class Bridges:
    """How remote agents are reached."""

    seal: Seal = field(repr=False)
    guard: Guard
    callback_url: str  #: Under which bridges reach this server.


@frozen(kw_only=True)
class Listing:
    """An engine, or why there is none."""

    name: EngineName
    engine: Engine | None = None
    model: Closing | None = None  #: What the engine is made of, if it is.
    reason: str | None = None
    models: tuple[str, ...] = ()
    abilities: Abilities = Abilities()


@frozen
class Catalog:
    """Keeps the promises of ``Engines``; listings stand in order of preference."""

    listings: Sequence[Listing]
    chosen: EngineName | None = None

    def named(self, name: EngineName) -> Engine:
        """Look one up."""
        listing = next((listing for listing in self.listings if listing.name == name), None)
        if listing is None:
            known = ", ".join(listing.name for listing in self.listings)
            raise UnknownEngine(f"There is no engine of that name. Known: {known}.", "engineType")
        if listing.engine is None:
            raise EngineUnavailable(f"The engine {name} cannot be used: {listing.reason}")
        return listing.engine

    def states(self) -> Sequence[EngineState]:
        """Return all of them."""
        return [
            EngineState(
                name=listing.name,
                abilities=listing.engine.abilities if listing.engine else listing.abilities,
                is_available=listing.engine is not None,
                reason=listing.reason,
                models=listing.models,
            )
            for listing in self.listings
        ]

    def default(self) -> EngineName:
        """Return the chosen engine, else the first usable one."""
        if self.chosen is not None:
            return self.chosen
        for listing in self.listings:
            if listing.engine is not None and listing.name != openclaw.NAME:  # which needs an instance
                return listing.name
        reasons = " ".join(f"{listing.name}: {listing.reason}" for listing in self.listings)
        raise EngineUnavailable(f"No engine can be used. {reasons}")


@asynccontextmanager
async def open_catalog(settings: EngineSettings, equipment: Equipment | None = None) -> AsyncIterator[Catalog]:
    """List the engines; at the end their connections are closed and the local model is stopped.

    *equipment* is what the models act with; without it they have no tools.
    """
    equipment = equipment or Equipment()
    listings = [
        evolve(listing, engine=equipment.engine(listing.model)) if listing.model else listing
        for listing in (
            _claude_api(settings),
            _openai(settings),
            *_claude_code(settings, equipment.policy),
            _local(settings),
            _openclaw(settings),
        )
    ]
    try:
        yield Catalog(listings, settings.default)
    finally:
        for listing in listings:
            if listing.model is not None:
                await listing.model.close()


async def prepare(settings: EngineSettings, say: Callable[[str], None]) -> None:
    """Fetch the local weights if without them there would be nothing to answer with; say so if that fails."""
    usable = [_claude_api(settings), _openai(settings)]
    is_wanted = settings.default == local.NAME or (
        settings.default is None and not any(listing.model for listing in usable)
    )
    if not is_wanted or settings.local_model or not _is_installed("xllamacpp"):
        return
    try:
        await fetch_weights(settings.data_dir, say=say)
    except WeightsUnavailable as error:
        say(str(error))


def _claude_api(settings: EngineSettings) -> Listing:
    model = settings.anthropic_model or claude_api.DEFAULT_MODEL
    abilities = Abilities(tools=True, approvals=True, attachments=True)
    known = settings.anthropic_api_key or settings.anthropic_base_url
    reason = _missing("anthropic", "claude-api")
    reason = reason or _unset(known, "Set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a compatible server.")
    if reason:
        return Listing(name=claude_api.NAME, reason=reason, models=(model,), abilities=abilities)
    made = ClaudeModel(settings.anthropic_api_key or NO_KEY_NEEDED, settings.anthropic_base_url, model)
    return Listing(name=claude_api.NAME, model=made, models=(model,))


def _openai(settings: EngineSettings) -> Listing:
    model = settings.openai_model or openai.DEFAULT_MODEL
    abilities = Abilities(tools=True, approvals=True, attachments=True)
    known = settings.openai_api_key or settings.openai_base_url
    reason = _missing("openai", "openai")
    reason = reason or _unset(known, "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server.")
    if reason:
        return Listing(name=openai.NAME, reason=reason, models=(model,), abilities=abilities)
    made = OpenAiModel(settings.openai_api_key or NO_KEY_NEEDED, settings.openai_base_url, model)
    return Listing(name=openai.NAME, model=made, models=(model,))


def _claude_code(settings: EngineSettings, policy: Policy) -> list[Listing]:
    """List the two ways to Claude Code: through its SDK, and without."""
    model, key = settings.claude_model or claude_code_cli.DEFAULT_MODEL, settings.anthropic_api_key
    binary = find_binary(settings.claude_bin)
    wrong = "AGENTCORE_CLAUDE_BIN names no program." if settings.claude_bin else None
    reason = None if binary else wrong or "pip install 'agentcore[claude]', or set AGENTCORE_CLAUDE_BIN."
    reason = reason or _missing("genai_prices", "claude")
    known = key or settings.anthropic_base_url
    reason = reason or _unset(known, "Set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a compatible server.")
    listings: list[Listing] = []
    kinds: list[tuple[EngineName, type[ClaudeCodeCli], str | None]] = [
        (claude_agent_sdk.NAME, ClaudeAgentSdk, _missing("claude_agent_sdk", "claude")),
        (claude_code_cli.NAME, ClaudeCodeCli, None),
    ]
    for name, kind, lacks in kinds:
        why = lacks or reason
        if binary is None or why:
            listings.append(Listing(name=name, reason=why, models=(model,), abilities=claude_code_cli.ABILITIES))
            continue
        program = Program(
            binary=binary,
            folder=settings.data_dir / "claude",
            api_key=key or NO_KEY_NEEDED,
            base_url=settings.anthropic_base_url,
        )
        listings.append(Listing(name=name, engine=kind(program, model, policy=policy), models=(model,)))
    return listings


def _local(settings: EngineSettings) -> Listing:
    abilities = Abilities(context_tokens=local.SHOWN_TOKENS)
    path = settings.local_model or weights_path(settings.data_dir)
    if not _is_installed("xllamacpp") or not _is_installed("openai"):
        reason: str | None = "pip install 'agentcore[local]'"
    elif path is None:
        reason = "Its weights are not here. Run: agentcore serve, with AGENTCORE_DEFAULT_ENGINE=local."
    elif not path.is_file():
        reason = "AGENTCORE_LOCAL_MODEL names no file."
    else:
        name = path.stem if settings.local_model else "smollm2-135m"
        host = LlamaHost(path, name, None if settings.local_model else GGUF_SHA256)
        return Listing(name=local.NAME, model=LocalModel(host), models=(name,))
    return Listing(name=local.NAME, reason=reason, abilities=abilities)


def _openclaw(settings: EngineSettings) -> Listing:
    reason = _missing("httpx2", "http")
    if reason or settings.bridges is None:
        return Listing(name=openclaw.NAME, reason=reason or settings.no_bridges, abilities=openclaw.ABILITIES)
    bridges = settings.bridges
    engine = OpenClaw(seal=bridges.seal, guard=bridges.guard, callback_url=bridges.callback_url)
    return Listing(name=openclaw.NAME, engine=engine)


def _missing(package: str, extra: str) -> str | None:
    return None if _is_installed(package) else f"pip install 'agentcore[{extra}]'"


def _unset(value: str | None, reason: str) -> str | None:
    return None if value else reason


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
