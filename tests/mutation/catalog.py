"""All mutants, and the tests that should notice each.

Law: a module of the core or of a store that is not named here is in no session; ``test_house`` says so.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.mutation import predicates, syntax, tables
from tests.mutation.mutant import Look, Mutant

SOURCES = Path(__file__).parent.parent.parent / "src"
CORE = Look(tuple(f"tests/core/test_{name}.py" for name in ("turn", "task", "admission", "session")))
MEMORY = Look(("tests/contract/test_memory.py",))
POSTGRES = Look(("tests/contract/test_postgres.py",))
SEEDS = Look(("tests/mutation/seeds.py",))
STORIES = Look(
    ("tests/hazards/test_s_state_and_races.py", "tests/hazards/test_c_liveness.py"),
    "memory and not S3_ and not S1_races",
    whole=True,
)
BILLING = Look(("tests/hazards/test_b_billing.py",), "memory and B2", whole=True)
GUARDS = Look(("tests/adapters/test_postgres_guards.py", "tests/adapters/test_postgres_security.py"))

DOMAIN: Mapping[str, tuple[Look, ...]] = {
    **dict.fromkeys(
        ("task", "turn", "receive", "obey", "ending", "admission", "approval", "session"),
        (CORE, MEMORY, SEEDS),
    ),
}
STORES: Mapping[str, tuple[Look, ...]] = {
    **dict.fromkeys(("memory/state", "memory/store", "memory/leases", "memory/books"), (MEMORY, SEEDS)),
    **dict.fromkeys(
        ("writer", "leases", "flusher", "store", "books", "errors", "connection", "statements"),
        (POSTGRES, GUARDS),
    ),
}

SHELL: Mapping[str, tuple[Look, ...]] = {
    **dict.fromkeys(("lane", "lanes", "reading", "pulse", "node", "runtime"), (SEEDS, STORIES)),
    "asking": (CORE, STORIES),
    "relay": (BILLING,),
}


def mutants() -> Iterator[Mutant]:
    """Yield the mutants of the sources."""
    for name, looks in DOMAIN.items():
        yield from _of_module(f"agentcore.{name}", looks)
    for name, looks in STORES.items():
        package = "" if "/" in name else "postgres/"
        yield from _of_module(f"agentcore_adapters.{package}{name}".replace("/", "."), looks)
    for name, looks in SHELL.items():
        yield from _of_module(f"agentcore.{name}", looks)


def source_of(module: str) -> str:
    """Read a module as it should be."""
    return (SOURCES / f"{module.replace('.', '/')}.py").read_text()


def _of_module(module: str, looks: tuple[Look, ...]) -> Iterator[Mutant]:
    source = source_of(module)
    edits = list(syntax.edits(source))
    if module == "agentcore.task":
        edits += tables.edits(source)
    if module.endswith(".errors"):
        edits += _rows(source, "BY_CONSTRAINT")
    if module.endswith(".statements"):
        edits += _statements(source)
    home = module.removeprefix("agentcore_adapters.").removeprefix("agentcore.")
    for where, what, changed in edits:
        yield Mutant(where=f"{home} {where}".strip(), what=what, looks=looks, module=module, source=changed)


def _statements(source: str) -> Iterator[tuple[str, str, str]]:
    tree = ast.parse(source)
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        name = ast.unparse(statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0])
        for text in ast.walk(statement.value):
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                whole = text.value
                for what, less in predicates.edits(whole):
                    text.value = less
                    yield name, what, ast.unparse(tree)
                text.value = whole


def _rows(source: str, name: str) -> Iterator[tuple[str, str, str]]:
    tree = ast.parse(source)
    for table in ast.walk(tree):
        if isinstance(table, ast.AnnAssign) and ast.unparse(table.target) == name and isinstance(table.value, ast.Dict):
            keys, values = table.value.keys, table.value.values
            for i, key in enumerate(keys):
                table.value.keys, table.value.values = keys[:i] + keys[i + 1 :], values[:i] + values[i + 1 :]
                yield name, f"no row {ast.unparse(key) if key else ''}", ast.unparse(tree)
            table.value.keys, table.value.values = keys, values
