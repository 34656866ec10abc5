"""The settings file, the variables, the file that names MCP servers."""

import tempfile
from pathlib import Path

import attrs

from agentcore_adapters.tools import mcp_config
from agentcore_http import settings
from tests.fuzz.targets import Target, lines

FOLDER = Path(tempfile.mkdtemp(prefix="agentcore-fuzz-"))
TOML = b"""deadline_seconds = 5
origins = ["https://a.example"]
bridge_allow = "10.0.0.0/8, bridge.example"
[tools]
approval = "ask"
[tools.rules]
"clock.now" = "auto"
[tools.tenants.acme]
"a.b" = "deny"
[limits]
stt_seconds = 1e3
"""
SERVERS = b'{"mcpServers":{"clock":{"command":"x","args":["-y"],"env":{"A":"b"},"cwd":"."},"w":{"url":"https://a/"}}}'


def _written(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def file(data: bytes) -> object:
    found = settings.load({}, _written("agentcore.toml", data))
    return repr(found)


def variables(data: bytes) -> object:
    """Read a variable's value as one setting after another would."""
    text = data.decode("latin-1").replace("\0", "")
    understood = 0
    for attribute in attrs.fields(settings.Settings):
        try:
            settings.load({settings.variable(attribute): text})
            understood += 1
        except settings.SettingsError:
            continue
    return understood


def servers(data: bytes) -> object:
    found = mcp_config.read(_written("mcp.json", data))
    for entry in found:
        assert (entry.command is None) != (entry.url is None)
        for secret in (*entry.env.values(), *entry.headers.values()):
            assert not secret or len(secret) < 4 or secret not in repr(entry) or secret in entry.name + str(entry.args)
    return found


TARGETS = [
    Target(
        name="settings_file",
        run=file,
        allowed=(settings.SettingsError,),
        seeds=[TOML, *lines(TOML), b"a = " + b"[" * 2000, b"deadline_seconds = 1" + b"0" * 5000, b"\xff"],
    ),
    Target(
        name="settings_variables",
        run=variables,
        allowed=(),
        seeds=[
            b"5",
            b"nan",
            b"none",
            b"https://a.example",
            b"a.b=auto,c.*=deny",
            b"acme/a.b=auto",
            b"10.0.0.0/8",
            b"~x/y",
        ],
    ),
    Target(
        name="mcp_config",
        run=servers,
        allowed=(mcp_config.McpConfigError,),
        seeds=[SERVERS, b"{}", b'{"mcpServers":{"\xff":{}}}', b"[" * 5000],
    ),
]
