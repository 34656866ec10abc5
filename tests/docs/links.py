"""What the pages point at is there: files, and headings in them.  ``python -m tests.docs.links [FOLDER OF A SITE]``.

Law: a page of the site loads nothing from elsewhere, so that nobody learns who reads it.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.docs.blocks import FENCE, ROOT, pages

LINK = re.compile(r"(?<!\\)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
LOADED = re.compile(r"""<(?:script|img|iframe|link|source)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
IMPORTED = re.compile(r"""(?:@import\s+["']|url\(["']?)((?:https?:)?//[^"')]+)""")


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    text = FENCE.sub("", page.read_text())
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        count = sum(each == slug or re.fullmatch(rf"{re.escape(slug)}_\d+", each) is not None for each in found)
        found.add(f"{slug}_{count}" if count else slug)
    return found


def broken(root: Path, names: list[str]) -> Iterator[str]:
    """Links of pages that lead nowhere."""
    for name in names:
        page = root / name
        for target in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))):
            if re.match(r"\w+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path) if path else page
            if not there.exists():
                yield f"{name}: {target}: there is no such file"
            elif anchor and anchor not in anchors(there):
                yield f"{name}: {target}: there is no such heading"


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """What pages of a site would fetch from other hosts."""
    for path in sorted(site.rglob("*")):
        pattern = {".html": LOADED, ".css": IMPORTED}.get(path.suffix)
        if pattern is not None:
            yield from (f"{path.relative_to(site)}: {found}" for found in pattern.findall(path.read_text()))


def main() -> int:
    """Print what is wrong."""
    wrong = list(broken(ROOT, pages()))
    for folder in sys.argv[1:]:
        wrong += loaded_from_elsewhere(Path(folder))
    for line in wrong:
        print(line)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
