"""Python functions as tools.

Law: a function's annotations are its schema, its docstring is what the model reads, and what the model sends is checked
against the one before the function runs.  A coroutine function runs in the event loop and can be cancelled; any other
runs in a thread, which nobody can stop: when its call is given up, it goes on unheard.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, get_type_hints

import anyio.to_thread
import msgspec
from attrs import field, frozen

from agentcore.tooling import NO_TOOL, Tool, ToolCall, ToolOutput

ROOT = "#/$defs/{name}"


class ToolFailed(Exception):
    """A function raises it to tell the model what is wrong; the text of any other exception is not told."""


@frozen
class _Function:
    """A function, and what it takes."""

    tool: Tool
    call: Callable[..., Any]
    takes: type[msgspec.Struct]

    @classmethod
    def of(cls, call: Callable[..., Any], server: str) -> "_Function":
        name = call.__name__
        hints = get_type_hints(call, include_extras=True)
        takes = msgspec.defstruct(name, [_field(found, hints) for found in inspect.signature(call).parameters.values()])
        (_, ), parts = msgspec.json.schema_components((takes,), ref_template=ROOT)  # fmt: skip
        schema = {key: value for key, value in parts.pop(name).items() if key != "title"}
        schema |= {"$defs": parts} if parts else {}
        described = Tool(name=f"{server}.{name}", description=inspect.getdoc(call) or name, input_schema=schema)
        return cls(described, call, takes)


def _field(parameter: inspect.Parameter, hints: dict[str, Any]) -> tuple[str, Any] | tuple[str, Any, Any]:
    if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
        raise TypeError(f"A tool cannot have the parameter {parameter}: a model sends named values.")
    kind = hints.get(parameter.name, Any)
    return (parameter.name, kind) if parameter.default is parameter.empty else (parameter.name, kind, parameter.default)


@frozen
class FunctionTools:
    """Functions as tools named ``<server>.<function>``; keeps the promises of ``Toolbox``."""

    server: str
    functions: Sequence[Callable[..., Any]]
    _found: dict[str, _Function] = field(init=False)

    @_found.default
    def _find(self) -> dict[str, _Function]:
        found = [_Function.of(function, self.server) for function in self.functions]
        return {function.tool.name: function for function in found}

    async def tools(self) -> Sequence[Tool]:
        """Return all of them."""
        return [function.tool for function in self._found.values()]

    async def call(self, call: ToolCall) -> ToolOutput:
        """Run a function."""
        function = self._found.get(call.name)
        if function is None:
            return ToolOutput(NO_TOOL, is_error=True)
        try:
            taken = msgspec.convert(call.input, function.takes)
        except msgspec.ValidationError as error:
            return ToolOutput(f"The arguments do not fit: {error}", is_error=True)
        run = partial(function.call, **{name: getattr(taken, name) for name in function.takes.__struct_fields__})
        try:
            result = await (_awaited(run) if inspect.iscoroutinefunction(function.call) else _in_a_thread(run))
        except ToolFailed as error:
            return ToolOutput(str(error), is_error=True)
        return ToolOutput(result if isinstance(result, str) else msgspec.json.encode(result).decode())


async def _awaited(run: Callable[[], Awaitable[Any]]) -> object:
    return await run()


async def _in_a_thread(run: Callable[[], Any]) -> object:
    return await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
