"""Pages point at what is there, the site shows all of them, and its pages load nothing from elsewhere."""

import re
from pathlib import Path

from tests.docs.blocks import ROOT, pages
from tests.docs.links import broken, loaded_from_elsewhere


def test_no_link_is_broken() -> None:
    assert list(broken(ROOT, pages())) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# A\n[b](b.md) [there](a.md#a) [gone](#b)\n```\n[code](no.md)\n```\n`[code](no.md)`\n"
    )
    assert list(broken(tmp_path, ["a.md"])) == [
        "a.md: b.md: there is no such file",
        "a.md: #b: there is no such heading",
    ]


def test_what_a_site_would_load_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://a.example/"></a><script async src=https://b.example/x.js></script>'
    )
    (tmp_path / "a.css").write_text("@font-face{src:url(//c.example/f.woff)} a{background:url(data:x)}")
    assert list(loaded_from_elsewhere(tmp_path)) == ["a.css: //c.example/f.woff", "a.html: https://b.example/x.js"]


def test_every_page_is_in_the_navigation_and_in_the_index() -> None:
    site, index = ((ROOT / name).read_text() for name in ("mkdocs.yml", "docs/index.md"))
    for page in pages()[1:]:
        name = page.removeprefix("docs/")
        assert re.search(rf"^ *- {re.escape(name)}$", site, re.MULTILINE), name
        assert name == "index.md" or "/adr/0" in name or f"({name}" in index, name
