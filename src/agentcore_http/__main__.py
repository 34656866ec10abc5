"""The command ``agentcore``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from agentcore import __version__
from agentcore_http import settings as settings_
from agentcore_http.settings import SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except SettingsError as error:
        print(f"agentcore: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return 2


def _run(options: argparse.Namespace) -> int:
    # Imported when needed: chat needs no database, and none of them needs what the others do.
    if options.command == "chat":
        from agentcore_http import chat  # noqa: PLC0415

        wish = chat.Wish(
            url=options.url,
            session_id=options.session,
            engine=options.engine,
            continues=options.go_on,
            is_plain=options.plain,
        )
        return chat.run(wish, options.token_file)
    if options.command == "openclaw-bridge":
        from agentcore_http import bridge, logs  # noqa: PLC0415

        known = [os.environ.get(name, "") for name in ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_BRIDGE_SECRET")]
        logs.set_up(level="info" if options.verbose else "warning", form=options.log_format, secrets=known)
        return bridge.run(options.host, options.port, options.gateway, options.server, options.timeout)
    loaded = settings_.load(config=options.config)
    if options.data_dir:
        loaded = evolve(loaded, data_dir=options.data_dir.expanduser().resolve())
    if options.command == "migrate":
        from agentcore_http import wiring  # noqa: PLC0415

        return wiring.migrate_database(loaded)
    if options.command == "tenant":
        from agentcore_http import tenants  # noqa: PLC0415

        if options.action == "export":
            return tenants.export(loaded, options.name, options.output or Path(f"{options.name}.ndjson"))
        return tenants.erase(loaded, options.name, is_meant=options.yes)
    if options.command == "limits":
        from agentcore_http import tenant_limits  # noqa: PLC0415

        return tenant_limits.run(loaded, options.tenant, options.limits)
    if options.command == "doctor":
        from agentcore_http import doctor, logs, wiring  # noqa: PLC0415

        logs.set_up(level="error", secrets=settings_.secrets_of(loaded))  # beside what is found, not in it
        return doctor.run(loaded, wiring.Place(host=options.host, port=options.port), as_json=options.json)
    from agentcore_http import logs, serve, wiring  # noqa: PLC0415

    level = loaded.log_level or "warning"
    if options.verbose and level != "debug":
        level = "info"
    logs.set_up(level=level, form=options.log_format, secrets=settings_.secrets_of(loaded))
    return serve.run(loaded, wiring.Place(host=options.host, port=options.port, store=options.store))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agentcore", description="Durable AI-agent conversations.")
    parser.add_argument("--version", action="version", version=f"agentcore {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start the server with everything it needs")
    serve.add_argument("--store", choices=["postgres", "memory"], default="postgres")
    doctor = commands.add_parser("doctor", help="say what can be used here, and what is missing")
    doctor.add_argument("--json", action="store_true", help="for programs")
    for command in (serve, doctor):
        command.add_argument("--host", default="127.0.0.1")
        command.add_argument("--port", type=int, default=8000, help="0 chooses a free one")
    migrate = commands.add_parser("migrate", help="bring the database of AGENTCORE_DATABASE_URL up to date")
    tenant = commands.add_parser("tenant", help="take all of a tenant away, or erase it; a server may be running")
    tenant.add_argument("action", choices=["export", "erase"])
    tenant.add_argument("name")
    tenant.add_argument("--output", type=Path, help="the file to write; NAME.ndjson")
    tenant.add_argument("--yes", action="store_true", help="erase without asking")
    limits = commands.add_parser("limits", help="show or change what a tenant may use")
    limits.add_argument("tenant")
    limits.add_argument("limits", nargs="*", metavar="NAME=VALUE", help="NAME=default takes it back")
    for command in (serve, doctor, migrate, tenant, limits):
        command.add_argument("--data-dir", type=Path, help="where database, keys and weights lie")
        command.add_argument("--config", type=Path, help="a file agentcore.toml")
    chat = commands.add_parser("chat", help="talk to a server in the terminal", allow_abbrev=False)
    chat.add_argument("--url", default="http://127.0.0.1:8000")
    chat.add_argument("--session", help="a session to go on with")
    chat.add_argument("--continue", dest="go_on", action="store_true", help="go on with the last session")
    chat.add_argument("--plain", action="store_true", help="text alone, as when it is piped")
    chat.add_argument("--engine", help="the engine that answers")
    chat.add_argument("--token-file", type=Path, help="a file with a bearer token; else AGENTCORE_TOKEN, if it is set")
    bridge = commands.add_parser("openclaw-bridge", help="let an OpenClaw gateway answer the tasks of a server")
    bridge.add_argument("--server", required=True, help="base URL of the server that may ask, and is called back")
    bridge.add_argument("--gateway", default="ws://127.0.0.1:18789", help="OPENCLAW_GATEWAY_TOKEN opens it")
    bridge.add_argument("--host", default="127.0.0.1")
    bridge.add_argument("--port", type=int, default=8787)
    bridge.add_argument("--timeout", type=float, default=600.0, help="seconds that a task may take")
    for command in (serve, bridge):
        command.add_argument(
            "--verbose", action="store_true", help="log what happens, whatever AGENTCORE_LOG_LEVEL says"
        )
        command.add_argument("--log-format", choices=["json", "console"], default="json", help="on standard error")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
