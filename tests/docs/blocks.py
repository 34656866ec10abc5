"""The code blocks of the documentation, and which of them are not run.

Law: every block is run, parsed, or named in ``LEFT_OUT`` with its reason; a name that fits no block is a mistake.
``python -m tests.docs.blocks`` prints what is done with each.

A block with a ``title`` is a file of that name.  A block ``text`` is what the block before it prints; ``…`` in it
stands for anything.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = frozenset({"sh", "python"})
PARSED = frozenset({"json", "toml"})
SHOWN = frozenset({"text", "mermaid"})

#: (page, how a block begins): why it is not run.
LEFT_OUT = {
    ("README.md", "python3 -m venv .venv && .venv/bin/pip install --quiet nox"): "it is what runs this",
    ("docs/how-to/attack-it.md", "nox -s fuzz"): "minutes to hours; the tests attack a little each time",
    ("docs/how-to/attack-it.md", "schemathesis"): "minutes; tests/fuzz/test_openapi.py runs the same configuration",
    ("docs/how-to/let-people-speak.md", "pip install 'agentcore[stt-whisper]'"): "Whisper and its weights are fetched;"
    " tests/stt runs it where it is installed",
    ("docs/how-to/let-people-speak.md", "curl -F audio"): "needs a recording and a model; tests/stt posts both",
    ("docs/how-to/put-pgbouncer-between.md", "AGENTCORE_DATABASE_URL"): "needs a PgBouncer that listens;"
    " tests/faults/test_pooled.py runs one with the page's file, and servers behind it",
    ("docs/how-to/use-a-gateway.md", "server {"): "needs nginx",
    ("docs/how-to/authenticate.md", "const {ticket}"): "runs in a page; tests/http/test_auth_streams.py does the same",
    ("docs/how-to/set-limits.md", "$ agentcore limits"): "a dialogue; tests/http/test_limits_settings.py has it",
    ("docs/how-to/observe.md", "scrape_configs"): "needs Prometheus",
    ("docs/explanation/performance.md", "nox -s bench"): "benchmarks take ten minutes and more",
}

#: Pages that another test follows.
ELSEWHERE = {
    "docs/how-to/runbook.md": "what an operator looks at in trouble; tests/http/test_operators.py checks it",
    "docs/how-to/deploy.md": "needs Docker, Kubernetes or systemd; tests/deploy/test_page.py checks what it names",
}


@frozen
class Block:
    """One block of a page."""

    page: str
    line: int
    language: str
    title: str | None
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run, if it is not."""
        found = (why for (page, start), why in LEFT_OUT.items() if self.page == page and self.text.startswith(start))
        return next(found, ELSEWHERE.get(self.page))

    @property
    def fate(self) -> str | None:
        """What is done with it; None: nothing, by mistake."""
        if self.reason is not None:
            return f"not run: {self.reason}"
        if self.title is not None:
            return f"written as {self.title}"
        if self.language in RUN:
            return "run"
        if self.language in PARSED:
            return "parsed"
        return "shown" if self.language in SHOWN else None


def pages() -> list[str]:
    """All pages, as paths in the repository."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text()
    for found in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', found[2])
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[1], title[1] if title else None, found[3])


def main() -> None:
    """Print the fate of each block."""
    for page in pages():
        for block in blocks(page):
            print(f"{page}:{block.line}: {block.language}: {block.fate or 'FORGOTTEN'}")  # noqa: T201


if __name__ == "__main__":
    main()
