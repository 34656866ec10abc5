"""``agentcore chat``: a conversation in the terminal.

Law: what a model, a tool or a title says is hostile: it reaches the terminal through ``safe`` only.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from attrs import frozen

from agentcore_http.client import ApiError, AsyncClient
from agentcore_http.settings import LOOPBACK, SettingsError

Token = Callable[[], str]
LACKING = "The terminal's face needs rich and prompt_toolkit (pip install 'agentcore[chat]'); this is the plain one."


@frozen(kw_only=True)
class Wish:
    """What the command line asked for."""

    url: str
    session_id: str | None = None
    engine: str | None = None
    continues: bool = False  #: Go on with the last session.
    is_plain: bool = False  #: Without the terminal's face.


def run(wish: Wish, token_file: Path | None = None) -> int:
    """Talk until the person leaves; return the exit status."""
    token = token_of(token_file)
    if token is not None and urlsplit(wish.url).scheme != "https" and urlsplit(wish.url).hostname not in LOOPBACK:
        print("The token is sent without TLS: whoever is on the way can use it.", file=sys.stderr)  # noqa: T201
    try:
        return anyio.run(_talk, wish, token)
    except KeyboardInterrupt:
        return 130


def token_of(file: Path | None) -> Token | None:
    """Return what says the token: *file*, read for each request because tokens are renewed, else AGENTCORE_TOKEN.

    A token has no place among the arguments, where every user of the machine can read it.
    """
    if file is None:
        found = os.environ.get("AGENTCORE_TOKEN", "").strip()
        return (lambda: found) if found else None

    def read() -> str:
        try:
            return file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--token-file: {file.name} cannot be read ({type(error).__name__}).") from None

    read()
    return read


async def _talk(wish: Wish, token: Token | None) -> int:
    from agentcore_http.chat import plain  # noqa: PLC0415 - the other one needs more

    async with AsyncClient(wish.url, token=token) as client:
        try:
            if wish.is_plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
                return await plain.talk(client, wish)
            try:
                from agentcore_http.chat import face  # noqa: PLC0415
            except ImportError:
                print(LACKING, file=sys.stderr)  # noqa: T201
                return await plain.talk(client, wish)
            return await face.talk(client, wish)
        except ApiError as error:
            hint = f" Is there a server at {wish.url}? Start one with: agentcore serve" if error.status == 0 else ""
            print(f"{error} [{error.code}]{hint}", file=sys.stderr)  # noqa: T201
            return 1
