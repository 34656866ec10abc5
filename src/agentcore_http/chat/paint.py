"""What is shown, as lines for a terminal.

Law: everything that comes from outside goes through ``safe`` first; the only escape sequences are colours.
"""

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text as Words

from agentcore_http.chat.blocks import PARSER
from agentcore_http.chat.safe import exact, line, safe, strange
from agentcore_http.client import ApprovalRequired

LINES = 8  # of a card


class Said(Markdown):
    """Markdown whose addresses are seen, and whose HTML is text."""

    def __init__(self, text: str) -> None:
        """Read *text*, which is safe."""
        super().__init__(text, hyperlinks=False)
        self.parsed = PARSER.parse(text)


def drawn(what: RenderableType, columns: int) -> str:
    """Draw it, with colours."""
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="standard", width=max(20, columns), legacy_windows=False,
        markup=False, highlight=False, emoji=False,
    )  # fmt: skip
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def said(text: str) -> RenderableType:
    """Show a piece of an answer; *text* is safe."""
    return Said(text)


def asked(text: str) -> RenderableType:
    """Show what a person has said."""
    return Words(f"\n> {safe(text)}", style="bold cyan")


def note(text: str, style: str = "dim") -> RenderableType:
    """Show a remark of the chat itself, or of the server."""
    return Words(safe(text), style=style)


def thought(text: str) -> RenderableType:
    """Show what was thought, folded."""
    return Words(
        f"thought: {line(text, 160)}" + (f" ({len(text)} characters)" if len(text) > 160 else ""), "dim italic"
    )


def call(name: str, given: Mapping[str, Any]) -> RenderableType:
    """Show a call of a tool."""
    return _card(f"⚙ {line(name, 60)}", folded(exact(given)), "blue")


def outcome(name: str, output: str, *, is_error: bool) -> RenderableType:
    """Show what came of it."""
    return _card(f"{'✗' if is_error else '✓'} {line(name, 60)}", folded(safe(output)), "red" if is_error else "green")


def question(told: ApprovalRequired) -> RenderableType:
    """Show what waits for a decision: all of it, and its hash."""
    body = [Words(exact(told.input))]
    body += [Words(f"not ASCII: {char}", "bold red") for char in strange(told.input)]
    body.append(Words(f"sha256 {line(told.input_sha256)}, until {line(told.expires_at)}", "dim"))
    return Panel(Group(*body), title=Words(f"allow {line(told.tool_name, 60)} ?"), border_style="yellow", expand=False)


def folded(text: str) -> str:
    """Return the first lines, and say how many follow."""
    lines = text.splitlines() or [""]
    more = [] if len(lines) <= LINES else [f"… {len(lines) - LINES} more lines"]
    return "\n".join([part if len(part) <= 500 else f"{part[:499]}…" for part in lines[:LINES]] + more)


def _card(title: str, body: str, colour: str) -> RenderableType:
    return Panel(Words(body), title=Words(title), title_align="left", border_style=colour, expand=False)
