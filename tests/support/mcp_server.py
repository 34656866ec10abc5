"""A real MCP server, written with the official SDK: ``python mcp_server.py`` over stdio, with a port over HTTP."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer

server = MCPServer("tests")


@server.tool()
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
def note(path: str, text: str) -> str:
    """Append a line to a file: an effect that can be counted."""
    with Path(path).open("a") as file:
        file.write(text + "\n")
    return "noted"


@server.tool()
async def slow(path: str, seconds: float) -> str:
    """Say when it begins and when it is done."""
    with Path(path).open("a") as file:
        file.write("begun\n")
    await anyio.sleep(seconds)
    with Path(path).open("a") as file:
        file.write("done\n")
    return "waited"


@server.tool()
def environment() -> str:
    """Tell the names and values of all variables."""
    return "\n".join(f"{name}={value}" for name, value in os.environ.items())


@server.tool()
def die() -> str:
    """End the process in the middle of a call."""
    os._exit(1)


@server.tool()
def fail() -> str:
    """Go wrong."""
    raise ValueError("it went wrong")


@server.tool()
def shout() -> str:
    """Say far too much."""
    return "x" * 2_000_000


@server.tool()
def now() -> str:
    """Tell the time."""
    return str(time.time())


def main(arguments: list[str]) -> None:
    if not arguments:
        server.run("stdio")
        return
    options: dict[str, Any] = {"host": "127.0.0.1", "port": int(arguments[0])}
    server.run("streamable-http", **options)


if __name__ == "__main__":
    main(sys.argv[1:])
