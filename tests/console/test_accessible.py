"""Everybody can use it: axe finds nothing, in light and dark, on a desk and on a phone."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest
from tests.console.test_hostile import forged
from tests.support.browser import Looking, faults, looking
from tests.support.server import Served

from agentcore.engine import EngineRequest
from agentcore.events import BlockEnded, CallClosed, CallOpened, Finished, TextDelta, ThinkingDelta, ToolResult, ToolUse
from agentcore.messages import Role
from agentcore.testing.scripted import USAGE, Move

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
NAMES = ("Send", "Stop", "Approve", "Reject", "Talk", "Attach", "New conversation")
ANSWER = """## Why the build is slow

The tests wait for **one** port, each for *two seconds*. [The report](https://example.org/report) has the figures:

| step | before | after |
|---|---|---|
| collect | 4.1 s | 0.9 s |
| run | 61 s | 18 s |

```python
async def ready(port: int) -> None:
    async with connect(port):
        return
```

1. Open the port once
2. Share it with `scope="session"`

> Nothing else changes.
"""


def showing(request: EngineRequest) -> Iterable[Move]:
    """Answer the first prompt with all that there is, and ask something for the second."""
    if sum(message.role is Role.USER for message in request.messages) > 1:
        return list(forged(request))
    return [
        CallOpened(model="scripted-1", input_tokens=23),
        ThinkingDelta("The slow part is the waiting. I will look at the log first."),
        BlockEnded(),
        ToolUse(tool_use_id="u1", tool_name="logs.search", input={"query": "timeout", "limit": 20}),
        ToolResult(tool_use_id="u1", output="61 lines"),
        *(TextDelta(piece) for piece in re.findall(r"\S+\s*", ANSWER)),
        CallClosed(usage=USAGE),
        Finished(),
    ]


async def show(view: Looking, served: Served) -> None:
    """Bring a page to where everything is on it."""
    served.engine.script = showing
    for title in ("Water the plants", "Quarterly figures as a table"):
        await served.done(title)
    await view.send("Why is the build slow?")
    await view.sees("23 in, 17 out")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
async def test_axe_finds_nothing(browser: "Browser", served: Served, scheme: str, size: str) -> None:
    more: Any = (
        {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True} if size == "phone" else {}
    )
    async with looking(browser, served.url, color_scheme=scheme, reduced_motion="reduce", **more) as view:
        await view.open()
        assert await faults(view.page) == []
        await show(view, served)
        await view.page.locator(".tool summary").click()
        assert await faults(view.page) == []
        await view.page.locator(".tool summary").click()
        await view.page.locator(".log").evaluate("log => (log.scrollTop = 0)")
        await view.picture(f"answer-{size}-{scheme}")
        await view.send("Then delete the old build.")
        await view.button("Approve").wait_for()
        assert await faults(view.page) == []
        await view.picture(f"approval-{size}-{scheme}")
        if size == "phone":
            await view.button("Show conversations").click()
            assert await faults(view.page) == []
            await view.picture(f"conversations-{size}-{scheme}")
            await view.page.get_by_role("link", name="Usage").click()
        else:
            await view.button("Keys").click()
            await view.page.get_by_role("dialog", name="Keys").wait_for()
            assert await faults(view.page) == []
            await view.page.keyboard.press("Escape")
            await view.page.get_by_role("link", name="Usage").click()
        await view.page.get_by_role("table").wait_for()
        assert await faults(view.page) == []
        await view.picture(f"usage-{size}-{scheme}")


async def test_nothing_is_wider_than_a_phone(browser: "Browser", served: Served) -> None:
    async with looking(browser, served.url, viewport={"width": 320, "height": 640}, is_mobile=True) as view:
        await view.open()
        await show(view, served)
        await view.send("Then delete the old build.")
        await view.button("Approve").wait_for()
        widths = await view.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1] == 320
        for name in ("Send", "Stop", "Talk", "Attach"):
            box = await view.button(name).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 320
            assert min(box["width"], box["height"]) >= 36


async def test_the_controls_have_the_names_that_were_agreed(view: Looking, served: Served) -> None:
    await view.send('[[ask:rm:{"path": "x"}]]')
    await view.button("Approve").wait_for()
    for name in NAMES:
        await view.button(name).wait_for()
        assert await view.button(name).count() == 1, name


async def test_what_happens_is_announced(view: Looking) -> None:
    status = view.page.get_by_role("status")
    await view.send("[[say:x]] [[hang]]")
    await view.hears("x")
    await view.button("Stop").click()
    await status.get_by_text("The answer was stopped.").wait_for()
    await view.send('[[ask:rm:{"path": "x"}]] [[say:y]]')
    await status.get_by_text("Approval needed: rm").wait_for()
    await view.button("Approve").click()
    await status.get_by_text("The answer is complete.").wait_for()


async def test_the_theme_is_chosen_and_kept(view: Looking) -> None:
    async def paper() -> str:
        return str(await view.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = await paper()
    await view.page.get_by_role("button", name="Theme: system").click()
    await view.page.get_by_role("button", name="Theme: light").click()
    assert await paper() != light
    await view.page.reload()
    await view.page.get_by_role("button", name="Theme: dark").wait_for()
    assert await paper() != light
