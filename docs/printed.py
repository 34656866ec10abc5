"""Pages of the reference that are printed from docstrings, from the command line and from the OpenAPI document."""

import argparse
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_type_hints

from agentcore import books, bus, engine, observe, ports, speech, tooling, toolloop
from agentcore_http import __main__ as command
from agentcore_http import client
from agentcore_http.client import Client

SEEN_BY = (ports, bus, engine, toolloop, tooling, books, speech, observe)
BOUNDS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "maxLength": "at most",
    "maxItems": "at most",
}
METHODS = ("get", "post", "patch", "put", "delete")


def ports_page() -> str:
    """Print the promises that adapters keep."""
    lines = ["# Ports", "", "What the core needs of the world. A docstring is a contract; the suites of"]
    lines[-1] += " [test your own adapters](../how-to/test-your-own-store.md) prove it."
    for module in SEEN_BY:
        found = [kind for kind in vars(module).values() if _is_port(kind, module)]
        for kind in found:
            lines += ["", f"## {kind.__name__}", "", f"`{module.__name__}`. {_doc(kind)}"]
            for name, member in _members(kind):
                lines += ["", f"### `{_signature(name, member)}`", "", _doc(member)]
    return "\n".join(lines)


def client_page() -> str:
    """Print the Python client."""
    lines = ["# Python client", "", f"`agentcore_http.client`. {_doc(client)}"]
    lines += ["", "`AsyncClient` has the methods of `Client`, to be awaited; what iterates is an `async for`."]
    for name in client.__all__:
        kind = getattr(client, name)
        if not inspect.isclass(kind) or kind.__name__ == "AsyncClient":
            continue
        lines += ["", f"## {name}", "", _doc(kind)]
        fields = [f"`{each}`" for each in getattr(kind, "__struct_fields__", ())]
        fields += [f"`{each.name}`" for each in getattr(kind, "__attrs_attrs__", ()) if not each.name.startswith("_")]
        lines += ["", f"Fields: {', '.join(fields)}."] if fields else []
        if kind is Client:
            for member_name, member in _members(kind):
                lines += ["", f"### `{_signature(member_name, member)}`", "", _doc(member)]
    return "\n".join(lines)


def command_page() -> str:
    """Print the command line."""
    parser = command._parser()  # noqa: SLF001 - what is printed here is what it says
    lines = ["# Command line", "", str(parser.description)]
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))  # noqa: SLF001
    helps = {each.dest: each.help or "" for each in commands._choices_actions}  # noqa: SLF001
    for name, sub in commands.choices.items():
        lines += [
            "",
            f"## agentcore {name}",
            "",
            f"{helps[name][:1].upper()}{helps[name][1:]}.",
            "",
            "| argument | default | |",
            "|---|---|---|",
        ]
        for action in sub._actions:  # noqa: SLF001
            if action.dest != "help":
                lines.append(f"| {_argument(action)} | {_default(action)} | {action.help or ''} |")
    return "\n".join(lines)


def http_page(document: dict[str, Any]) -> str:
    """Print the OpenAPI document for people."""
    lines = [
        "# HTTP API",
        "",
        "Printed from the [OpenAPI document](openapi.json), which is what counts; the events of the stream are in",
    ]
    lines += ["[AsyncAPI](asyncapi.json) and [Events](events.md), what `code` says in [Problems](problems.md)."]
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                lines += ["", f"## {method.upper()} {path}", "", *_operation(document, operations[method])]
    lines += ["", "## Bodies of answers"]
    for name, schema in document["components"]["schemas"].items():
        if not name.startswith("Problem"):
            lines += ["", f"### {name}", "", *_fields(schema)]
    return "\n".join(lines)


def _operation(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    said = (operation.get("description") or operation["operationId"]).strip()
    yield f"{said if said.endswith('.') else f'`{said}`'}"
    parameters = [_resolved(document, each) for each in operation.get("parameters", ())]
    if parameters:
        yield from ["", "| parameter | in | type | |", "|---|---|---|---|"]
        for each in parameters:
            needed = " (required)" if each.get("required") else ""
            yield f"| `{each['name']}`{needed} | {each['in']} | {_type(each.get('schema', {}))} | {_cell(each)} |"
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        yield from ["", f"Body, `{kind}`:", "", *_fields(_resolved(document, body["schema"]))]
    yield from ["", "| status | body |", "|---|---|"]
    problems = []
    for status, answer in operation["responses"].items():
        found = _resolved(document, answer)
        if "application/problem+json" in found.get("content", {}):
            problems.append(status)
            continue
        kinds = [f"{_type(body.get('schema', {}))} `{kind}`" for kind, body in found.get("content", {}).items()]
        yield f"| {status} | {', '.join(kinds) or found.get('description', '')} |"
    if problems:
        yield f"| {', '.join(problems)} | [a problem](problems.md) |"


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    if "properties" not in schema:
        yield _type(schema)
        return
    yield from ["| field | type | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        needed = " (required)" if name in schema.get("required", ()) else ""
        yield f"| `{name}`{needed} | {_type(field)} | {_cell(field)} |"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name if name.startswith("Problem") else f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(each) for each in schema[several])
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "anything")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    most = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "maxLength": "at most",
        "maxItems": "at most",
    }
    return " ".join([kind, *(f"{word} {schema[name]}" for name, word in most.items() if name in schema)])


def _cell(thing: dict[str, Any]) -> str:
    return " ".join(str(thing.get("description", "")).replace("|", "\\|").split())


def _resolved(document: dict[str, Any], thing: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in thing:
        found: Any = document
        for part in thing["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        thing = found
    return thing


def _is_port(kind: object, module: ModuleType) -> bool:
    return inspect.isclass(kind) and kind.__module__ == module.__name__ and getattr(kind, "_is_protocol", False)


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(kind).items():
        if (not name.startswith("_") or name == "__aiter__") and (
            inspect.isfunction(member) or isinstance(member, property)
        ):
            yield name, member


def _signature(name: str, member: Any) -> str:  # noqa: ANN401 - a function or a property
    if isinstance(member, property):
        assert member.fget is not None
        return f"{name}: {_short(get_type_hints(member.fget).get('return'))}"
    found = inspect.signature(member)
    without = [each for each in found.parameters.values() if each.name != "self"]
    text = str(found.replace(parameters=without))
    text = (
        re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", re.sub(r"\*?<class '?([\w.]+)'?>", r"\1", text))
        .replace("'", "")
        .replace("\\", "")
    )
    return f"{'async ' if inspect.iscoroutinefunction(member) else ''}{name}{text}"


def _short(kind: object) -> str:
    return getattr(kind, "__name__", str(kind))


def _doc(thing: object) -> str:
    return inspect.cleandoc(getattr(thing, "__doc__", None) or "").replace("``", "`")


def _argument(action: argparse.Action) -> str:
    choices = " or ".join(f"`{each}`" for each in action.choices or ())
    if not action.option_strings:
        return choices or f"`{action.metavar or action.dest}`"
    if choices:
        return f"`{action.option_strings[0]}` {choices}"
    return f"`{action.option_strings[0]}{'' if action.nargs == 0 else f' {action.dest.upper()}'}`"


def _default(action: argparse.Action) -> str:
    if action.required:
        return "needed"
    return "" if action.default in {None, False, argparse.SUPPRESS} or action.default == [] else f"`{action.default}`"
