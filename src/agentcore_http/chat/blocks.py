"""Markdown that comes piece by piece.

Law: what is finished is handed out once and never again; what is not finished yet is bounded, so that showing it anew
with every piece costs what its size costs, not what the answer's does.
"""

from attrs import define
from markdown_it import MarkdownIt
from markdown_it.token import Token

#: No HTML: what a model says in angle brackets is shown, not left out.
PARSER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
MOST = 4000  # characters that are not finished


@define
class Blocks:
    """An answer on its way."""

    pending: str = ""

    def feed(self, piece: str) -> str:
        """Take in *piece*; return what of the text is finished now, nothing if nothing is."""
        self.pending += piece
        if "\n" not in piece and len(self.pending) < MOST:
            return ""
        opened = [
            token for token in PARSER.parse(self.pending) if token.level == 0 and token.map and token.nesting >= 0
        ]
        if not opened:
            return ""
        lines = self.pending.splitlines(keepends=True)
        start = opened[-1].map[0] if opened[-1].map else 0
        done, self.pending = "".join(lines[:start]), "".join(lines[start:])
        if len(self.pending) > MOST:
            done += self._cut(opened[-1])
        return done

    def flush(self) -> str:
        """Return what is left: the answer, or this part of it, is over."""
        left, self.pending = self.pending, ""
        return left

    def _cut(self, last: Token) -> str:
        """Hand out the beginning of a block that is too long; a fence goes on as another one."""
        at = self.pending.rfind("\n") + 1 or len(self.pending)
        done, rest = self.pending[:at], self.pending[at:]
        if last.type == "fence":
            self.pending = f"{last.markup}{last.info}\n{rest}"
            return f"{done}{last.markup}\n"
        self.pending = rest
        return done
