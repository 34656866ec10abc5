"""A pytest plugin: bounds the hazard tests in time and writes down how each one ended, and where."""

import functools
import re
import traceback
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from types import TracebackType

import anyio
import pytest
from attrs import define, field, frozen

LIMIT_S = 6.0
HAZARDS = str(Path(__file__).parent.parent / "hazards")
TEST = re.compile(r"test_([A-Z]\d+)_")


def opens_its_own(item: pytest.Function) -> bool:
    """Tell whether a test opens a server itself, or by a fixture of its module: it cannot meet the port."""
    found = item._fixtureinfo.name2fixturedefs.get("served", ())
    return not found or found[-1].baseid == item.nodeid.partition("::")[0]


@frozen
class Result:
    """How one case of one test ended."""

    row: str  #: Id of the hazard.
    test: str  #: Name of the test function.
    case: str  #: The same with its parameters.
    colour: str  #: red: by its behaviour, green, or broken: it could not look at the behaviour.
    line: str  #: What was found, and the statement that found it.


@define
class Judge:
    """Watches a run."""

    results: list[Result] = field(factory=list)
    out_of_reach: dict[str, str] = field(factory=dict)  #: Tests that open a server of their own, and their rows.

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what can meet the port, and bound it."""
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        for item in items:
            match = TEST.match(item.name)
            if match is None or not isinstance(item, pytest.Function):
                dropped.append(item)
            elif opens_its_own(item):
                self.out_of_reach[item.originalname] = match[1]
                dropped.append(item)
            else:
                item.obj = bounded(item.obj)
                kept.append(item)
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write down the end of a test, and what went wrong around it."""
        report = yield
        if report.when == "call" or report.failed:
            error = call.excinfo.value if call.excinfo is not None else None
            colour, line = ("green", "") if error is None else seen(error)
            if report.when != "call":
                colour = "broken"
            match, name = TEST.match(item.name), getattr(item, "originalname", item.name)
            self.results.append(Result(match[1] if match else "", name, item.name, colour, line))
        return report


def bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Cut a test off that waits for what never comes."""

    @functools.wraps(test)
    async def work(**fixtures: object) -> None:
        with anyio.fail_after(LIMIT_S):
            await test(**fixtures)

    return work


def seen(error: BaseException) -> tuple[str, str]:
    """Tell whether a test has seen the behaviour it is about, and what it has seen."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    statement, said = place(error), str(error).strip().partition("\n")[0]
    if isinstance(error, AssertionError):
        # A helper that asserts, say that a prompt was accepted, tells nothing about the hazard.
        is_its_own = traceback.extract_tb(error.__traceback__)[-1].filename.startswith(HAZARDS)
        return "red" if is_its_own else "broken", f"{said}  <- {statement}"
    if isinstance(error, TimeoutError):
        return "red", f"waited in vain  <- {statement}"
    name = type(error).__name__
    if statement.startswith("assert "):
        # The answer is so different that what is asserted about it is not in it.
        return "red", f"{name} {said}  <- {statement}"
    return "broken", f"{name} {said}  <- {statement}"


def place(error: BaseException) -> str:
    """Return the statement of the hazard test where *error* came up; a wait that was cut off is its context."""
    chain: BaseException | None = error
    while chain is not None:
        found = _statement(chain.__traceback__)
        if found is not None:
            return found
        chain = chain.__cause__ or chain.__context__
    return "?"


def _statement(trace: TracebackType | None) -> str | None:
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename.startswith(HAZARDS)]
    return (frames[-1].line or "").strip() if frames else None
