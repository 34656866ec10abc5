"""What begins with a slash."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agentcore_http.chat import kept
from agentcore_http.chat.safe import line

if TYPE_CHECKING:
    from agentcore_http.chat.face import Talk

HELP = "Enter sends, Ctrl-J begins a new line, Ctrl-C stops the answer, Ctrl-D leaves. /help shows what else there is."
LISTED = 20


async def run_command(talk: "Talk", text: str) -> bool:
    """Do what *text* says, or say it to the agent; False: the person leaves. Raises ApiError."""
    if not text.startswith("/"):
        await talk.say(text)
        return True
    name, _, rest = text[1:].partition(" ")
    if name in {"quit", "exit"}:
        return False
    if name not in COMMANDS:
        talk.note(f"There is no /{line(name)}. /help shows what there is.", "yellow")
        return True
    await COMMANDS[name][0](talk, rest.strip())
    return True


async def _help(talk: "Talk", _: str) -> None:
    told = [f"/{name:<9} {about}" for name, (_, about) in COMMANDS.items()]
    talk.note("\n".join([*told, "/quit      leaves", HELP]))


async def _sessions(talk: "Talk", _: str) -> None:
    count = 0
    async for found in talk.client.sessions(page=LISTED):
        talk.note(f"{found.id}  {found.activity:<17} {line(found.title, 60)}")
        count += 1
        if count == LISTED:
            break
    if not count:
        talk.note("There are none yet.")


async def _open(talk: "Talk", session_id: str) -> None:
    if not session_id:
        talk.note("/open ID; /sessions shows them.", "yellow")
        return
    await talk.client.get_session(session_id)
    talk.open(session_id)


async def _new(talk: "Talk", _: str) -> None:
    talk.open(None)
    talk.note("(a new conversation)")


async def _rename(talk: "Talk", title: str) -> None:
    if talk.session_id is None or not title:
        talk.note("/rename TITLE, once something was said.", "yellow")
        return
    await talk.client.rename_session(talk.session_id, title)


async def _engine(talk: "Talk", name: str) -> None:
    if name:
        talk.engine = name
        talk.note(f"({line(name)} answers from now on)")
        return
    for engine in (await talk.client.engines()).engines:
        about = "" if engine.available else f"  {line(engine.reason or 'cannot be used')}"
        talk.note(f"{line(engine.engine_type)}{'  (default)' if engine.default else ''}{about}")


async def _cancel(talk: "Talk", _: str) -> None:
    if talk.teller.running is None:
        talk.note("Nothing is being answered.", "yellow")
        return
    await talk.client.cancel_task(talk.teller.running)


async def _inject(talk: "Talk", message: str) -> None:
    if talk.teller.running is None or not message:
        talk.note("/inject TEXT, while something is being answered.", "yellow")
        return
    await talk.client.inject(talk.teller.running, message)


async def _export(talk: "Talk", name: str) -> None:
    if talk.session_id is None:
        talk.note("Nothing was said yet.", "yellow")
        return
    path = Path(name or f"session-{talk.session_id}.ndjson").expanduser()
    if path.exists():
        talk.note(f"{path.name} is there already.", "yellow")
        return
    try:
        with kept.private(path).open("wb") as file:
            async for one in talk.client.export(talk.session_id):
                file.write(msgspec.json.encode(one) + b"\n")
    except OSError as error:
        talk.note(f"{path.name} cannot be written ({type(error).__name__}).", "red")
        return
    talk.note(f"(written to {path})")


COMMANDS: dict[str, tuple[Callable[["Talk", str], Awaitable[None]], str]] = {
    "help": (_help, "this"),
    "sessions": (_sessions, "your conversations, newest first"),
    "open": (_open, "ID: goes on with one"),
    "new": (_new, "begins another"),
    "rename": (_rename, "TITLE"),
    "engine": (_engine, "NAME: who answers from now on; without: who can"),
    "inject": (_inject, "TEXT: stops the answer and goes on with that"),
    "cancel": (_cancel, "stops the answer"),
    "export": (_export, "[FILE]: writes all of the conversation down"),
}
