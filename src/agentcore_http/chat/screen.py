"""The terminal: what was said scrolls away above; below it the live block, a status, and where one types.

Law: what was printed is never printed again; only what stands below is drawn anew.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from attrs import define, field
from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.processors import BeforeInput
from rich.console import RenderableType

from agentcore_http.chat import kept, paint

Pressed = Callable[[KeyPressEvent], None]
INTERRUPT, LEAVE = "\x03", "\x04"  # what the keys say; a line that was typed cannot be one of them


@define(eq=False)
class Screen:
    """Shows, and hears."""

    keys: MemoryObjectSendStream[str]  #: Lines that were typed, and INTERRUPT and LEAVE.
    live: str = ""  #: Markdown that is not finished; it is safe.
    thinking: str = ""
    status: str = ""
    prompt: str = "> "
    app: Application[None] = field(init=False)
    buffer: Buffer = field(init=False)
    _out: deque[str] = field(factory=deque)
    _drafts: list[str] = field(factory=list)
    _drawn: tuple[tuple[str, int], str] = (("", 0), "")

    def __attrs_post_init__(self) -> None:
        """Lay it out."""
        self.buffer = Buffer(multiline=True, history=_history())
        shown = Condition(lambda: bool(self.live or self.thinking))
        rows = [
            ConditionalContainer(Window(FormattedTextControl(self._live), dont_extend_height=True), shown),
            ConditionalContainer(
                Window(FormattedTextControl(lambda: [("class:status", self.status)]), height=1),
                Condition(lambda: bool(self.status)),
            ),
            Window(
                BufferControl(self.buffer, input_processors=[BeforeInput(lambda: self.prompt)]),
                wrap_lines=True,
                dont_extend_height=True,
                height=Dimension(min=1, max=8),
            ),
        ]
        self.app = Application(
            Layout(HSplit(rows)), key_bindings=_bindings(self), erase_when_done=True, min_redraw_interval=0.05
        )

    def show(self, what: RenderableType) -> None:
        """Print what is finished."""
        self._out.append(paint.drawn(what, self.columns))
        self.app.invalidate()

    def redraw(self) -> None:
        """Draw anew what stands below."""
        self.app.invalidate()

    def hide_draft(self) -> None:
        """Put aside what is being typed: a question comes, and what follows is its answer."""
        self._drafts.append(self.buffer.text)
        self.buffer.reset()

    def bring_draft(self) -> None:
        """Go on with what was being typed."""
        if self._drafts:
            self.buffer.text = self._drafts.pop()
            self.buffer.cursor_position = len(self.buffer.text)

    @property
    def columns(self) -> int:
        """How wide it is."""
        return self.app.output.get_size().columns

    async def print_always(self, every_s: float = 0.05) -> None:
        """Print what is to be printed, until cancelled; what comes together is printed together."""
        while True:
            if self._out and self.app.is_running:
                text = "".join(self._out)
                self._out.clear()
                await run_in_terminal(partial(self._write, text))
            await anyio.sleep(every_s)

    def write_rest(self) -> None:
        """Print what is left when the application has ended."""
        self._write("".join(self._out))
        self._out.clear()

    def _write(self, text: str) -> None:
        self.app.output.write_raw(text.replace("\n", "\r\n"))
        self.app.output.flush()

    def _live(self) -> ANSI:
        size = self.app.output.get_size()
        text = self.live or self.thinking
        if self._drawn[0] != (text, size.columns):
            what = paint.said(text) if self.live else paint.note(text)
            self._drawn = ((text, size.columns), paint.drawn(what, size.columns))
        lines = self._drawn[1].splitlines()
        return ANSI("\n".join(lines[-max(1, size.rows - 12) :]))


def _history() -> History:
    try:
        return FileHistory(str(kept.typed()))
    except OSError:
        return InMemoryHistory()


def _bindings(screen: Screen) -> KeyBindings:
    keys = KeyBindings()

    def tell(text: str) -> None:
        screen.keys.send_nowait(text)

    def on(*names: str) -> Callable[[Pressed], Pressed]:
        return keys.add(*names, eager=True)

    @on("enter")
    def _(_event: KeyPressEvent) -> None:
        text = screen.buffer.text
        screen.buffer.append_to_history()
        screen.buffer.reset()
        tell(text)

    @on("c-j")
    @on("escape", "enter")
    def _(_event: KeyPressEvent) -> None:
        screen.buffer.insert_text("\n")

    @on("c-c")
    def _(_event: KeyPressEvent) -> None:
        if screen.buffer.text:
            screen.buffer.reset()
        else:
            tell(INTERRUPT)

    @on("c-d")
    def _(_event: KeyPressEvent) -> None:
        if screen.buffer.text:
            screen.buffer.delete()
        else:
            tell(LEAVE)

    return keys
