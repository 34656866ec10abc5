"""A person talks to an agent in a browser."""

import re
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.support.acting import Acting, acting
from tests.support.browser import Looking, cuttable, looking
from tests.support.server import Served
from tests.support.tokens import Issuer, guarded, jwt_settings, memory

from agentcore.caller import Caller
from agentcore.commands import Decide
from agentcore.ids import ApprovalId, TaskId
from agentcore.runtime import Runtime
from agentcore_adapters.testing.provider import StubProvider

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
WORDS = "".join(f"w{i} " for i in range(250)).strip()
SLOWLY = "[[words:250]] [[slow:0.012]]"


def png(edge: int = 24) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + b"".join(bytes((10 * x % 256, 120, 110)) for x in range(edge))
    head = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * edge)) + chunk(b"IEND", b"")


async def test_what_is_sent_is_answered_as_it_comes(view: Looking, served: Served) -> None:
    await view.picture("welcome")
    await view.send(f"{SLOWLY} hello")
    await view.hears("w5 ")
    assert len(await view.said()) < len(WORDS)  # it is seen before it is whole
    await view.sees("23 in, 17 out")
    assert await view.said() == WORDS
    session_id = await view.session_id()
    entry = view.page.get_by_role("navigation").get_by_role("link", name=re.compile("words:250"))
    assert await entry.get_attribute("aria-current") == "page"
    assert [message["role"] for message in await served.messages(session_id)] == ["user", "assistant"]
    assert await view.page.get_by_role("button", name="Connection: Live").count() == 1


async def test_nothing_is_lost_or_doubled_by_reloading_in_the_middle(view: Looking, served: Served) -> None:
    await view.send(SLOWLY)
    for word in ("w20 ", "w90 ", "w160 "):
        await view.hears(word)
        await view.page.reload()
    await view.sees("23 in, 17 out")
    assert await view.said() == WORDS
    (_, answer) = await served.messages(await view.session_id())
    assert answer["content"][0]["text"].strip() == WORDS


async def test_nothing_is_lost_or_doubled_by_a_network_that_fails(browser: "Browser", served: Served) -> None:
    async with (
        cuttable(served.url) as line,
        looking(browser, line.url, bears=("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "WebSocket")) as view,
    ):
        await view.open()
        await view.send(SLOWLY)
        for word in ("w30 ", "w120 "):
            await view.hears(word)
            line.cut()
            await view.page.get_by_role("button", name="Connection: Reconnecting").wait_for()
            if word == "w30 ":
                await view.picture("reconnecting")
            line.mend()
            await view.page.get_by_role("button", name="Connection: Live").wait_for()
        await view.sees("23 in, 17 out")
        assert await view.said() == WORDS


async def test_two_tabs_are_in_step(view: Looking) -> None:
    await view.send("[[say:so far]] [[hang]]")
    await view.hears("so far")
    other = Looking(await view.page.context.new_page(), view.url)
    other.listen()
    await other.open(f"/#/s/{await view.session_id()}")
    await other.hears("so far")
    await other.button("Stop").click()
    await view.sees("Stopped")
    await other.send("[[say:and more]]")
    await view.hears("and more")
    await other.hears("and more")
    assert await view.page.locator(".column").inner_text() == await other.page.locator(".column").inner_text()
    assert other.troubles == []


async def test_an_answer_is_stopped(view: Looking, served: Served) -> None:
    await view.send("[[say:so far]] [[hang]]")
    await view.hears("so far")
    await view.button("Stop").click()
    await view.sees("Stopped")
    assert await view.button("Stop").count() == 0
    (task,) = (await served.get(f"/sessions/{await view.session_id()}/tasks"))["items"]
    assert (task["status"], task["stopCode"]) == ("cancelled", "USER_CANCEL")


async def test_what_is_said_meanwhile_goes_before_or_waits(view: Looking, served: Served) -> None:
    await view.send("[[say:so far]] [[hang]]")
    await view.hears("so far")
    await view.send("[[say:in its place]] [[hang]]")
    await view.hears("in its place")
    await view.sees("Stopped for what was said next")
    await view.message.fill("[[say:at last]]")
    await view.button("Queue").click()
    await view.sees("Waits until the answer before it is complete")
    await view.sees("[[say:at last]]")
    await view.picture("queued")
    assert await view.page.locator(".said", has_text="at last").count() == 0
    await view.message.press("Escape")
    await view.hears("at last")
    tasks = (await served.get(f"/sessions/{await view.session_id()}/tasks"))["items"]
    assert [task["stopCode"] for task in tasks] == ["USER_INJECT", "USER_CANCEL", None]


@pytest.fixture
async def act(provider: StubProvider) -> AsyncIterator[Acting]:
    async with acting(memory(), provider) as found:
        yield found


NOTE = '[[tool:t__note:{"text": "rm -rf build"}]] [[after:it is noted]]'


async def test_SEC20_what_is_approved_is_what_was_read(
    browser: "Browser", act: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions: list[Decide] = []
    decide = Runtime.decide

    def listen(self: Runtime, caller: Caller, task_id: TaskId, decision: Decide, **more: Any) -> Awaitable[ApprovalId]:
        decisions.append(decision)
        return decide(self, caller, task_id, decision, **more)

    monkeypatch.setattr(Runtime, "decide", listen)
    async with looking(browser, act.served.url) as view:
        await view.open()
        await view.send(NOTE)
        card = view.page.get_by_role("region", name="Approval of t.note")
        await card.get_by_text("rm -rf build", exact=True).wait_for()
        (task,) = (await act.served.get(f"/sessions/{await view.session_id()}/tasks"))["items"]
        (asked,) = task["pendingApprovals"]
        await card.get_by_text(asked["inputSha256"]).wait_for()
        assert act.effects.done == []
        await view.picture("approval")
        await view.button("Approve").click()
        await view.sees("it is noted")
        assert act.effects.done == ["note rm -rf build"]
        (sent,) = decisions
        assert (sent.approved, sent.approval_id, sent.input_sha256) == (True, asked["approvalId"], asked["inputSha256"])
        await view.page.locator(".tool summary").click()
        await view.page.get_by_role("group", name="Output").get_by_text("noted rm -rf build").wait_for()


async def test_SEC20_a_rejected_call_is_not_made(browser: "Browser", act: Acting) -> None:
    async with looking(browser, act.served.url) as view:
        await view.open()
        await view.send(NOTE)
        await view.button("Reject").click()
        await view.sees("Stopped, because the call was rejected")
        await view.send(NOTE.replace("build", "dist"))
        await view.page.get_by_label("If rejected, go on without it").check()
        await view.button("Reject").click()
        await view.sees("it is noted")  # the model went on
        assert act.effects.done == []
        tasks = (await act.served.get(f"/sessions/{await view.session_id()}/tasks"))["items"]
        assert [task["stopCode"] for task in tasks] == ["USER_REJECT", None]


async def test_SEC20_a_decision_that_comes_too_late_says_so(browser: "Browser", act: Acting) -> None:
    async with looking(browser, act.served.url, bears=("409",)) as view:
        await view.open()
        task = await act.waiting(NOTE)
        await view.page.route("**/stream?*", lambda route: route.abort())
        await view.open(f"/#/s/{task['sessionId']}")
        await view.button("Approve").wait_for()
        body = {"approved": False, "approvalId": task["pendingApprovals"][0]["approvalId"]}

        async def decide_elsewhere(route: Any) -> None:
            assert await act.decide(task, body) == 201
            await route.continue_()

        await view.page.route("**/approve", decide_elsewhere)
        await view.button("Approve").click()
        await view.page.get_by_role("alert").get_by_role("button", name="Dismiss").wait_for()
        assert act.effects.done == []


async def test_attachments_are_chosen_dropped_and_pasted(view: Looking, served: Served) -> None:
    picture = {"name": "map.png", "mimeType": "image/png", "buffer": png()}
    async with view.page.expect_file_chooser() as chooser:
        await view.button("Attach").click()
    await (await chooser.value).set_files([picture])
    for way in ("drop", "paste"):
        await view.page.evaluate(
            """([way, bytes]) => {
                const file = new File([new Uint8Array(bytes)], `${way}.png`, { type: "image/png" });
                const data = new DataTransfer();
                data.items.add(file);
                const more = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
                const event = way === "drop" ? new DragEvent("drop", more) : new ClipboardEvent("paste", more);
                document.querySelector("#message").dispatchEvent(event);
            }""",
            [way, list(png(8 if way == "drop" else 16))],
        )
    text = {"name": "no.txt", "mimeType": "text/plain", "buffer": b"no"}
    await view.page.locator("input[type=file]").set_input_files([text])
    await view.sees("attach PNG, JPEG, GIF, WebP or PDF")
    chosen = view.page.get_by_role("list", name="Attachments").get_by_role("listitem")
    await view.button("Remove drop.png").wait_for()
    await view.button("Remove paste.png").wait_for()
    assert await chosen.count() == 3
    await view.picture("attachments")
    await view.button("Remove drop.png").click()
    await view.send("What is on it?")
    await view.hears("You said: What is on it?")
    shown = view.page.locator(".asked img")
    assert [await one.get_attribute("alt") for one in await shown.all()] == ["map.png", "paste.png"]
    assert await shown.first.evaluate("image => image.complete && image.naturalWidth") == 24
    (message, _) = await served.messages(await view.session_id())
    assert [part["size"] for part in message["content"] if part["type"] == "image"] == [len(png()), len(png(16))]
    await view.page.reload()
    await view.sees("map.png")  # its bytes are not shown again, its name is


async def test_conversations_are_found_renamed_and_closed(view: Looking, served: Served) -> None:
    for prompt in ("Count the whales", "Water the plants"):
        await served.done(prompt)
    await view.page.reload()
    await view.page.get_by_role("link", name=re.compile("Water the plants")).click()
    await view.button("Rename").click()
    await view.page.get_by_label("Title").fill("Gardening")
    await view.page.keyboard.press("Enter")
    await view.page.get_by_role("heading", name="Gardening").wait_for()
    await view.page.get_by_role("link", name=re.compile("Gardening")).wait_for()
    await view.page.get_by_label("Search conversations").fill("whale")
    links = view.page.get_by_role("navigation").get_by_role("link")
    await view.page.get_by_role("link", name=re.compile("Gardening")).wait_for(state="detached")
    assert await links.count() == 1
    await view.page.get_by_label("Search conversations").fill("")
    await view.button("Close conversation").click()
    await view.button("Close it").click()
    await view.sees("This conversation is closed.")
    assert await view.message.count() == 0
    session = await served.get(f"/sessions/{await view.session_id()}")
    assert (session["title"], session["status"]) == ("Gardening", "closed")


async def test_an_engine_is_chosen(view: Looking, served: Served) -> None:
    await view.page.get_by_label("Engine").select_option("other")
    await view.send("hello")
    await view.hears("You said: hello")
    assert (len(served.engine.requests), len(served.other.requests)) == (0, 1)


async def test_what_was_used_is_shown_by_day_and_model(view: Looking, served: Served) -> None:
    for _ in range(3):
        await served.done("hello")
    await view.open("/#/usage")
    table = view.page.get_by_role("table", name="Usage by day and model")
    await table.get_by_role("columnheader", name="scripted-1").wait_for()
    total = (await served.get("/usage"))["total"]
    assert total["totalTokens"] == 120
    await table.get_by_role("cell", name="120", exact=True).wait_for()
    assert await view.page.locator(".chart rect").count() == 1
    await view.picture("usage")


async def test_all_of_it_is_done_with_keys(view: Looking) -> None:
    keyboard = view.page.keyboard
    await view.page.locator("#message:focus").wait_for()
    await keyboard.type("[[say:so far]] [[hang]]")
    await keyboard.press("Enter")
    await view.hears("so far")
    await keyboard.press("Escape")
    await view.sees("Stopped")
    await keyboard.type('[[ask:rm:{"path": "x"}]]')
    await keyboard.press("Enter")
    await view.button("Approve").wait_for()
    await keyboard.press("Alt+a")
    for _ in range(8):
        await keyboard.press("Tab")
        if await view.page.evaluate("document.activeElement.textContent") == "Approve":
            break
    await keyboard.press("Enter")
    await view.page.locator(".tool .state", has_text="done").wait_for()
    await keyboard.press("Alt+n")
    await view.sees("What shall we work on?")
    await view.page.get_by_role("link", name=re.compile("so far")).wait_for()
    await keyboard.press("Control+k")
    await view.page.locator("#search:focus").wait_for()
    await keyboard.type("so far")
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await view.hears("so far")
    await keyboard.press("Control+/")
    await view.page.get_by_role("dialog", name="Keys").wait_for()
    await keyboard.press("Escape")
    await view.page.get_by_role("dialog", name="Keys").wait_for(state="detached")


async def test_SEC30_a_token_is_kept_in_memory_alone(browser: "Browser") -> None:
    issuer = Issuer()
    token = issuer.token()
    async with guarded(jwt_settings(), issuer) as served, looking(browser, served.url, bears=("401",)) as view:
        await view.open()
        await view.page.get_by_label("Token").fill(token)
        await view.picture("token")
        await view.button("Continue").click()
        await view.send(SLOWLY)
        await view.hears("w20 ")
        await view.sees("23 in, 17 out")
        assert await view.said() == WORDS
        kept = await view.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert token not in kept
        assert token not in await view.page.content()
        assert not [request.url for request in view.sent if token in request.url or "ticket=" in request.url]
        await view.page.reload()
        await view.page.get_by_label("Token").wait_for()  # it is gone with the page
        with anyio.move_on_after(0.3):
            await view.hears("w1")
        assert await view.said() == ""


async def test_SEC30_a_token_that_expires_is_asked_for_again_and_nothing_is_lost(browser: "Browser") -> None:
    issuer = Issuer()
    async with guarded(jwt_settings(), issuer) as served, looking(browser, served.url, bears=("401",)) as view:
        await view.open()
        await view.page.get_by_label("Token").fill(issuer.token(exp=int(time.time()) + 4))
        await view.button("Continue").click()
        await view.send("[[words:480]] [[slow:0.012]]")
        await view.hears("w50 ")
        await view.page.get_by_label("Token").fill(issuer.token())
        assert "w479" not in await view.said()
        await view.button("Continue").click()
        await view.page.get_by_role("button", name="Connection: Live").wait_for()
        await view.sees("23 in, 17 out")
        assert await view.said() == "".join(f"w{i} " for i in range(480)).strip()
