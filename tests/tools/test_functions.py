"""Python functions as tools."""

import threading
from dataclasses import dataclass
from typing import Annotated

import anyio
import pytest
from msgspec import Meta

from agentcore.ids import SessionId, TaskId
from agentcore.tooling import ToolCall, ToolOutput
from agentcore_adapters.tools.functions import FunctionTools, ToolFailed

pytestmark = pytest.mark.anyio


@dataclass
class Place:
    """Where something is."""

    city: str
    country: str = "FR"


def weather(place: Place, days: Annotated[int, Meta(ge=1, description="How many.")] = 1) -> dict[str, object]:
    """Tell the weather."""
    return {"city": place.city, "days": days, "thread": threading.current_thread() is threading.main_thread()}


async def greet(name: str) -> str:
    return f"hello {name}"


def stumble(how: str) -> str:
    """Go wrong."""
    if how == "told":
        raise ToolFailed("There is no such thing.")
    raise RuntimeError("secret")


TOOLS = FunctionTools("own", [weather, greet, stumble])


async def call(tool: str, /, **arguments: object) -> ToolOutput:
    made = ToolCall(tool_use_id="1", name=tool, input=arguments, session_id=SessionId("s"), task_id=TaskId("t"))
    return await TOOLS.call(made)


async def test_a_function_describes_itself() -> None:
    tools = {tool.name: tool for tool in await TOOLS.tools()}
    assert set(tools) == {"own.weather", "own.greet", "own.stumble"}
    schema = tools["own.weather"].input_schema
    assert tools["own.weather"].description == "Tell the weather."
    assert (schema["type"], schema["required"]) == ("object", ["place"])
    assert schema["properties"]["days"]["minimum"] == 1
    assert schema["properties"]["days"]["description"] == "How many."
    assert schema["properties"]["place"] == {"$ref": "#/$defs/Place"}
    assert set(schema["$defs"]["Place"]["properties"]) == {"city", "country"}


async def test_arguments_are_checked_and_results_are_text() -> None:
    output = await call("own.weather", place={"city": "Lyon"}, days=2)
    assert output == ToolOutput('{"city":"Lyon","days":2,"thread":false}')
    assert await call("own.greet", name="Ann") == ToolOutput("hello Ann")
    wrongs: tuple[dict[str, object], ...] = (
        {},
        {"place": {}},
        {"place": {"city": "x"}, "days": 0},
        {"place": {"city": "x"}, "days": "two"},
    )
    for wrong in wrongs:
        output = await call("own.weather", **wrong)
        assert output.is_error
        assert "do not fit" in output.text
    assert (await call("own.none")).is_error


async def test_only_what_is_meant_for_the_model_is_told() -> None:
    assert await call("own.stumble", how="told") == ToolOutput("There is no such thing.", is_error=True)
    with pytest.raises(RuntimeError):  # the loop says in its own words that the tool failed
        await call("own.stumble", how="other")


async def test_a_thread_is_left_behind() -> None:
    let_go = threading.Event()

    def stuck() -> str:
        let_go.wait(10)
        return "late"

    tools = FunctionTools("own", [stuck])
    made = ToolCall(tool_use_id="1", name="own.stuck", input={}, session_id=SessionId("s"), task_id=TaskId("t"))
    with anyio.fail_after(2), anyio.move_on_after(0.1) as scope:
        await tools.call(made)
    assert scope.cancelled_caught
    let_go.set()


def test_what_a_model_cannot_call_is_refused() -> None:
    def loose(*args: int) -> None: ...

    with pytest.raises(TypeError, match="named values"):
        FunctionTools("own", [loose])
