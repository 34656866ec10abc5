"""A real browser that looks at the console, and a line to it that can be cut."""

import asyncio
import importlib.util
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from attrs import define, field

from agentcore_adapters.testing.listening import listening
from agentcore_http.routes.console import page

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PICTURES = Path(__file__).parent.parent.parent / ".artifacts" / "console"
WAIT_MS = 20_000
LOCAL = ("blob:", "data:")
REGISTER = """
    self.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => self.violations.push(event.violatedDirective));
"""


def needed() -> str:
    """Return where the browser is; skip where it, what drives it or the console is missing."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the console cannot be tested here: chromium is not installed")
    for module in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the console cannot be tested here: {module} is not installed")
    if page() is None:
        pytest.skip("the console cannot be tested here: it was not built; install without AGENTCORE_CONSOLE=skip")
    return program


@asynccontextmanager
async def browsing(*more: str) -> AsyncIterator["Browser"]:
    """Start the browser."""
    program = needed()
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, headless=True, args=[*ARGUMENTS, *more])
        try:
            yield browser
        finally:
            await browser.close()


@define(eq=False, slots=False)  # the driver puts names of its own on those who listen
class Looking:
    """A page with the console in it, and everything that went wrong there."""

    page: "Page"
    url: str
    troubles: list[str] = field(factory=list)  #: Errors of the page, and requests to anywhere else.
    sent: list["Request"] = field(factory=list)

    def listen(self) -> None:
        self.page.set_default_timeout(WAIT_MS)
        self.page.on(
            "console", lambda said: self.troubles.append(said.text) if said.type in {"error", "warning"} else None
        )
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._hear)

    def _read(self, said: "ConsoleMessage") -> None:
        if said.type in {"error", "warning"}:
            self.troubles.append(said.text)

    def _hear(self, request: "Request") -> None:
        self.sent.append(request)
        if not request.url.startswith(LOCAL) and urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.troubles.append(f"a request to {request.url}")

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.url + path)
        await self.page.locator("#message, .usage").wait_for()

    @property
    def message(self) -> "Locator":
        return self.page.locator("#message")

    def button(self, name: str) -> "Locator":
        return self.page.get_by_role("button", name=name, exact=True)

    async def send(self, text: str) -> None:
        await self.message.fill(text)
        await self.button("Send").click()

    async def session_id(self) -> str:
        await self.page.wait_for_url("**/#/s/*")
        return str(self.page.url).rsplit("/", 1)[1]

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).last.wait_for()

    async def said(self) -> str:
        """Return what the model has said, as it is shown."""
        return "\n".join(await self.page.locator(".said").all_inner_texts())

    async def hears(self, text: str) -> None:
        """Wait until the model has said *text*."""
        await self.page.locator(".said", has_text=text).first.wait_for()

    async def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png")

    async def violations(self) -> list[str]:
        """Return what the policy of the page has forbidden."""
        found: list[str] = await self.page.evaluate("self.violations")
        return found


@asynccontextmanager
async def looking(
    browser: "Browser", url: str, *, may: Sequence[str] = (), bears: Sequence[str] = (), **more: Any
) -> AsyncIterator[Looking]:
    """Open a page; whatever went wrong in it fails, but for troubles that hold one of the words *bears*.

    *may*: permissions.  The rest is the context's.
    """
    context = await browser.new_context(permissions=list(may), **({"viewport": {"width": 1280, "height": 860}} | more))
    await context.add_init_script(REGISTER)
    view = Looking(await context.new_page(), url)
    view.listen()
    try:
        yield view
        troubles = [one for one in view.troubles if not any(word in one for word in bears)]
        assert troubles == []
        assert await view.violations() == []
    finally:
        await context.close()


async def faults(page: "Page") -> list[str]:
    """Return what axe finds wrong with a page."""
    from axe_playwright_python.async_playwright import Axe

    found = (await Axe().run(page)).response
    return [f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}" for one in found["violations"]]


@define(eq=False)
class Cuttable:
    """A line to a server."""

    target: str
    is_cut: bool = False
    url: str = ""
    _lines: set[asyncio.StreamWriter] = field(factory=set)

    def cut(self) -> None:
        """Cut all lines, and let none be opened."""
        self.is_cut = True
        for line in self._lines:
            line.transport.abort()

    def mend(self) -> None:
        """Let lines be opened again."""
        self.is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        host, port = urlsplit(self.target).netloc.split(":")
        there, away = await asyncio.open_connection(host, int(port))
        self._lines |= {writer, away}
        await asyncio.gather(_pass_on(reader, away), _pass_on(there, writer))
        self._lines -= {writer, away}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass  # it was cut
    finally:
        writer.close()


@asynccontextmanager
async def cuttable(target: str) -> AsyncIterator[Cuttable]:
    """Open a line to *target* that can be cut."""
    line = Cuttable(target)
    async with listening(line.serve) as port:
        line.url = f"http://127.0.0.1:{port}"
        try:
            yield line
        finally:
            line.cut()
