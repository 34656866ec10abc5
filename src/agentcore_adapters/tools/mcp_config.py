"""The file that names MCP servers, as other programs have it.

    {"mcpServers": {NAME: {"command": …, "args": […], "env": {…}, "cwd": …} | {"url": …, "headers": {…}}}}

Law: it is checked whole before anything is started, and a mistake is named with its place and without its content:
environments and headers hold secrets.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from attrs import field, frozen
from msgspec import Struct

SERVER = re.compile("[A-Za-z0-9_-]{1,40}")


class McpConfigError(Exception):
    """The file cannot be used."""


class Entry(Struct):
    """One server, as it stands in the file."""

    command: str | None = None
    args: list[str] = msgspec.field(default_factory=list)
    env: dict[str, str] = msgspec.field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    disabled: bool = False


class File(Struct, rename={"servers": "mcpServers"}):
    """The file; what else it holds is for other programs."""

    servers: dict[str, Entry]


@frozen(kw_only=True)
class McpEntry:
    """A server: a command to run, or an address."""

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(factory=dict, repr=False)
    cwd: Path | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(factory=dict, repr=False)


def read(path: Path) -> list[McpEntry]:
    """Read the servers of a file; raises McpConfigError."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=File)
    except FileNotFoundError:
        raise McpConfigError(f"There is no file {path.name}.") from None
    except msgspec.DecodeError as error:
        raise McpConfigError(f"{path.name}: {error}.") from None
    except (UnicodeDecodeError, RecursionError):
        raise McpConfigError(f"{path.name} is not JSON in UTF-8, or is nested too deeply.") from None
    return [_entry(path, name, entry) for name, entry in file.servers.items() if not entry.disabled]


def _entry(path: Path, name: str, entry: Entry) -> McpEntry:
    where = f"{path.name}: mcpServers.{name}"
    if SERVER.fullmatch(name) is None:
        raise McpConfigError(f"{where}: a name has letters, digits, _ and -, at most 40.")
    if (entry.command is None) == (entry.url is None):
        raise McpConfigError(f"{where} needs either a command or a url.")
    if entry.url is not None and not entry.url.startswith(("http://", "https://")):
        raise McpConfigError(f"{where}.url must begin with http:// or https://.")
    return McpEntry(
        name=name,
        command=entry.command,
        args=tuple(entry.args),
        env=entry.env,
        cwd=(path.parent / entry.cwd) if entry.cwd else None,
        url=entry.url,
        headers=entry.headers,
    )
