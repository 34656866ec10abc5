"""What can be set, read once and checked whole.

Law: environment over ``agentcore.toml`` over default.  A variable ``AGENTCORE_*`` that is not known, or a value that
is malformed, stops the start with its name.  Secrets never stand in a repr.
"""

import base64
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import platformdirs
from attrs import Attribute, evolve, field, fields, frozen

from agentcore.policy import Rule
from agentcore_adapters.netguard import allow_list
from agentcore_http.auth import reading
from agentcore_http.limit_settings import LimitSettings
from agentcore_http.redaction import Secret

PREFIX = "AGENTCORE_"
CLIENTS = frozenset({"AGENTCORE_TOKEN"})  # read by ``chat``, not by the server
SIGNING_KEY_BYTES = 24  # what Standard Webhooks asks for
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsError(Exception):
    """A setting is unknown or malformed."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a non-empty text")
    return value.strip()


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise ValueError("a number") from None
    if not 0 < number < 1e9:
        raise ValueError("a positive number")
    return number


def _flag(value: object) -> bool:
    words = {"true": True, "false": False}
    found = words.get(str(value).lower())
    if found is None:
        raise ValueError("true or false")
    return found


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(word) for word in value)
    return tuple(word.strip() for word in _text(value).split(",") if word.strip())


def _hosts(value: object) -> tuple[str, ...]:
    words = _words(value)
    allow_list(words)
    return words


def _path(value: object) -> Path:
    try:
        return Path(_text(value)).expanduser()
    except RuntimeError:  # ~somebody who is not known here
        raise ValueError("a path whose ~ is somebody's home here") from None


def _url(value: object) -> str:
    text = _text(value).rstrip("/")
    if not text.startswith(("http://", "https://")):
        raise ValueError("an address that begins with http:// or https://")
    return text


def _nats(value: object) -> tuple[str, ...]:
    servers = _words(value)
    if not servers or not all(map(_is_nats, servers)):
        raise ValueError("addresses such as tls://user:password@host:4222, with commas between")
    return servers


def _is_nats(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # what it says may hold the password
        return False


def _subject(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", text, re.ASCII):
        raise ValueError("words of letters, digits, - and _, with dots between")
    return text


def _stream(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text, re.ASCII):
        raise ValueError("a name of at most 64 letters, digits, - and _")
    return text


def _dsn(value: object) -> str:
    text = _text(value)
    if not (text.startswith(("postgresql://", "postgres://")) or "=" in text):
        raise ValueError("a PostgreSQL address such as postgresql://user@host/database")
    return text


def _signing_key(value: object) -> str:
    text = _text(value)
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) < SIGNING_KEY_BYTES:
        raise ValueError("at least 24 bytes in base64, for example what this prints: openssl rand -base64 32")
    return text


def _rule(value: object) -> Rule:
    if value not in list(Rule):
        raise ValueError(f"one of {', '.join(Rule)}")
    return Rule(str(value))


def _rules(value: object) -> dict[str, Rule]:
    if not isinstance(value, dict):
        pairs = [word.partition("=") for word in _words(value)]
        value = {name.strip(): rule.strip() for name, _, rule in pairs}
    return {_text(name): _rule(rule) for name, rule in value.items()}


def _tenants_rules(value: object) -> dict[str, dict[str, Rule]]:
    if isinstance(value, dict):
        return {_text(tenant): _rules(rules or {}) for tenant, rules in value.items()}
    found: dict[str, dict[str, Rule]] = {}
    for word in _words(value):
        tenant, slash, rule = word.partition("/")
        if not slash:
            raise ValueError("tenant/tool=rule, with commas between")
        found.setdefault(_text(tenant), {}).update(_rules(rule))
    return found


def _level(value: object) -> str:
    if value not in ("debug", "info", "warning", "error"):
        raise ValueError("debug, info, warning or error")
    return str(value)


def _stt(value: object) -> str:
    if value not in ("openai", "faster_whisper"):
        raise ValueError("openai or faster_whisper")
    return str(value)


def _setting(
    read: Callable[[object], Any], doc: str, *, env: str | None = None, secret: bool = False, table: str | None = None
) -> Any:  # noqa: ANN401 - attrs fields are untyped
    metadata = {"read": _secretly(read) if secret else read, "doc": doc, "env": env, "table": table, "secret": secret}
    return field(default=None, repr=not secret, metadata=metadata)


def _secretly(read: Callable[[object], Any]) -> Callable[[object], Secret | tuple[Secret, ...]]:
    def secret(value: object) -> Secret | tuple[Secret, ...]:
        found = read(value)
        return tuple(map(Secret, found)) if isinstance(found, tuple) else Secret(found)

    return secret


@frozen(kw_only=True)
class Settings(LimitSettings):
    """Everything that can be set; None means that nobody said."""

    auth: str | None = _setting(
        reading.mode,
        "Who the caller is: `none` (default) trusts `X-Tenant-Id` and `X-User-Id`, on loopback; `gateway` trusts who "
        "sends the secret; `jwt` verifies tokens.",
    )
    gateway_secret: tuple[str, ...] | None = _setting(
        reading.secrets,
        "What the gateway sends as `X-Gateway-Secret`: 32 bytes or more; two during rotation.",
        secret=True,
    )
    jwt_jwks: str | Path | None = _setting(
        reading.key_set, "Where the keys are that sign tokens: a JSON Web Key Set, as an address or a file."
    )
    jwt_algorithms: tuple[str, ...] | None = _setting(
        reading.algorithms, "Algorithms that count: some of RS256, PS256, ES256, EdDSA; all of them."
    )
    jwt_issuer: str | None = _setting(_text, "The claim `iss` of tokens, exactly.")
    jwt_audience: tuple[str, ...] | None = _setting(reading.words, "Claims `aud`, of which a token must hold one.")
    jwt_tenant_claim: str | None = _setting(_text, "The claim that names the tenant; `tenant_id`.")
    jwt_typ: tuple[str, ...] | None = _setting(
        reading.words, "Headers `typ` that count; `at+jwt,JWT`. `absent`: tokens without one count, too."
    )
    jwt_leeway_seconds: float | None = _setting(reading.leeway, "By how much clocks may differ: at most 60; 30.")
    database_url: str | None = _setting(_dsn, "PostgreSQL; absent: an embedded server in the data dir.", secret=True)
    data_dir: Path | None = _setting(_path, "Where the embedded database, keys and weights lie.")
    default_engine: str | None = _setting(_text, "Engine of new sessions; else the first usable one.")
    secret_key: str | None = _setting(
        _text, "Key from which tokens are derived; made in the data dir if absent.", secret=True
    )
    secret_key_also: tuple[str, ...] | None = _setting(
        reading.secrets, "Keys whose tokens count, too, while one replaces another; one or two.", secret=True
    )
    origins: tuple[str, ...] | None = _setting(
        reading.origins,
        "Browser origins and host names allowed besides our own; with identity they may ask cross-origin.",
    )
    public_url: str | None = _setting(
        _url, "Base URL under which others reach this server; bridges of remote agents call back there."
    )
    bridge_allow: tuple[str, ...] | None = _setting(
        _hosts, "Where remote agents may live: names, addresses, networks; `http://` in front where TLS is not spoken."
    )
    deadline_seconds: float | None = _setting(_number, "Time a task has if its request does not say; 3600.")
    idle_seconds: float | None = _setting(_number, "Silence after which an engine is stopped (`DEADLINE`); 300.")
    drain_seconds: float | None = _setting(_number, "Time that live tasks have when the server stops; 5.")
    notice_seconds: float | None = _setting(
        _number,
        "Time between being told to stop and not listening any more, in which `/readyz` answers 503 and all else works "
        "(balancers turn away first); none.",
    )
    usage_webhook: str | None = _setting(_url, "Where usage events are posted; absent: nowhere.")
    usage_webhook_secret: str | None = _setting(
        _signing_key,
        "Key that usage events are signed with: 24 bytes or more in base64, `whsec_` in front or not.",
        secret=True,
    )
    usage_stream: str | None = _setting(
        _stream, "Stream of NATS JetStream into which usage events go, in place of a webhook; made if it is not there."
    )
    nats_url: tuple[str, ...] | None = _setting(
        _nats, "NATS servers that connect several nodes, `tls://user:password@host:4222`; absent: none.", secret=True
    )
    nats_ca: Path | None = _setting(_path, "File of who vouches for their certificates; else whom the system trusts.")
    nats_prefix: str | None = _setting(_subject, "First word of their subjects, one for each deployment; `agentcore`.")
    nats_plaintext: bool | None = _setting(
        _flag, "`true`: they may be asked without TLS and beyond loopback, in a network of your own; false."
    )
    anthropic_model: str | None = _setting(_text, "Model of `claude_api`.")
    openai_model: str | None = _setting(_text, "Model of `openai`.")
    claude_bin: Path | None = _setting(
        _path, "The program `claude`; else the one in the SDK, else the one on the path."
    )
    claude_model: str | None = _setting(_text, "Model of `claude_agent_sdk` and `claude_code_cli`.")
    local_model: Path | None = _setting(_path, "A GGUF file for `local`, in place of the SmolLM2 that is fetched.")
    anthropic_api_key: str | None = _setting(_text, "Key of `claude_api`.", env="ANTHROPIC_API_KEY", secret=True)
    anthropic_base_url: str | None = _setting(
        _url, "Another server that speaks Anthropic's wire.", env="ANTHROPIC_BASE_URL"
    )
    openai_api_key: str | None = _setting(_text, "Key of `openai`.", env="OPENAI_API_KEY", secret=True)
    openai_base_url: str | None = _setting(_url, "Another server that speaks OpenAI's wire.", env="OPENAI_BASE_URL")
    tools_mcp_config: Path | None = _setting(_path, "A file `mcp.json` that names MCP servers.", table="tools")
    tools_approval: Rule | None = _setting(
        _rule, "For tools without a rule: `ask` (default), `auto`, `deny`.", table="tools"
    )
    tools_rules: dict[str, Rule] | None = _setting(
        _rules,
        "`<server>.<tool>` or `<server>.*` = `ask`, `auto`, `deny`; in the variable: `a.b=auto,c.*=deny`.",
        table="tools",
    )
    tools_tenants: dict[str, dict[str, Rule]] | None = _setting(
        _tenants_rules,
        "Rules of one tenant, before the server's (but what the server denies stays denied); `*`: of all its tools. "
        "In the variable: `acme/a.b=auto,acme/*=deny`.",
        table="tools",
    )
    tools_approval_seconds: float | None = _setting(_number, "Time a person has to decide; 3600.", table="tools")
    tools_four_eyes: bool | None = _setting(
        _flag, "`true`: who asked for a task may not approve what it waits for; false.", table="tools"
    )
    tools_call_seconds: float | None = _setting(_number, "Time one call of a tool may take; 120.", table="tools")
    stt: Literal["openai", "faster_whisper"] | None = _setting(
        _stt, "Who listens to recordings: `openai` or `faster_whisper`; absent: nobody."
    )
    stt_base_url: str | None = _setting(_url, "A server that speaks OpenAI's wire for recordings; else its own.")
    stt_model: str | None = _setting(_text, "Model: a name, or the folder of one for `faster_whisper`.")
    log_level: str | None = _setting(
        _level, "What is logged: `debug`, `info` (a line for each request), `warning` (the default), `error`."
    )
    prompts_guardrail: str | None = _setting(
        _text, "Text that stands in every system prompt besides ours, whatever a request says.", table="prompts"
    )

    @property
    def data(self) -> Path:
        """The data dir: the one that is set, else the platform's."""
        return self.data_dir or Path(platformdirs.user_data_dir("agentcore", appauthor=False))


def secrets_of(settings: Settings) -> list[Secret]:
    """Return the values that nobody may see."""
    values = [getattr(settings, a.name) for a in fields(Settings) if a.metadata["secret"]]
    several = [value if isinstance(value, tuple) else (value,) for value in values if value]
    return [Secret(one) for some in several for one in some]


def variable(attribute: "Attribute[Any]") -> str:
    """Return the environment variable of a setting."""
    return str(attribute.metadata["env"] or PREFIX + attribute.name.upper())


def in_file(attribute: "Attribute[Any]") -> str:
    """Return the name of a setting in the file, with its table."""
    table = attribute.metadata["table"]
    return f"{table}.{attribute.name.removeprefix(table + '_')}" if table else attribute.name


def load(environ: Mapping[str, str] | None = None, config: Path | None = None) -> Settings:
    """Read all settings; raises SettingsError that names the culprit."""
    environ = os.environ if environ is None else environ
    known = {variable(attribute): attribute for attribute in fields(Settings)}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in {*known, *CLIENTS})
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting. Known: {', '.join(sorted(known))}.")
    values = _from_file(config) if config else {}
    for name, attribute in known.items():
        if environ.get(name):
            values[attribute.name] = _read(name, attribute, environ[name])
    return evolve(Settings(), **values)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no file {path.name} to read settings from.") from None
    except ValueError as error:  # also of bytes that are no text, and of a number of 5,000 digits
        raise SettingsError(f"{path.name} is not TOML: {error}.") from None
    except RecursionError:
        raise SettingsError(f"{path.name} is nested too deeply to be settings.") from None
    known = {in_file(attribute): attribute for attribute in fields(Settings)}
    tables = {attribute.metadata["table"] for attribute in fields(Settings)}
    flat = {name: value for name, value in content.items() if name not in tables}
    for table in tables & set(content):
        inner = content[table] if isinstance(content[table], dict) else {"": content[table]}
        flat |= {f"{table}.{name}": value for name, value in inner.items()}
    unknown = sorted(set(flat) - set(known))
    if unknown:
        raise SettingsError(f"{path.name}: {unknown[0]} is not a setting. Known: {', '.join(sorted(known))}.")
    found = {known[name].name: _read(f"{path.name}: {name}", known[name], value) for name, value in flat.items()}
    # A path in a file is meant as seen from the file, wherever the server is started.
    return {name: path.parent / value if isinstance(value, Path) else value for name, value in found.items()}


def _read(name: str, attribute: "Attribute[Any]", value: object) -> object:
    try:
        return attribute.metadata["read"](value)
    except ValueError as error:
        raise SettingsError(f"{name} must be {error}.") from None
