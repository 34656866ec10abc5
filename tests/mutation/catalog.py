"""All mutants, and the tests that should notice each.

Law: a module of the core or of a store that is neither named here nor in ``LEFT_OUT`` is forgotten, and
``test_house`` says so.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.mutation import predicates, syntax, tables
from tests.mutation.mutant import Look, Mutant
from tests.mutation.plants import PLANTS, Plant

SOURCES = Path(__file__).parent.parent.parent / "src"
CORE = Look(
    tuple(
        f"tests/core/test_{name}.py"
        for name in (
            "turn",
            "due",
            "receive",
            "obey",
            "task",
            "admission",
            "approval",
            "session",
            "replying",
            "instances",
        )
    )
)
BY_HAND = Look(("tests/shell",))
FOLLOW = Look(("tests/core/test_follow.py", "tests/core/test_follow_edges.py"))
MEMORY = Look(("tests/contract/test_memory.py",))
POSTGRES = Look(("tests/contract/test_postgres.py",))
POOLER = Look(("tests/adapters/test_pooler.py",))
PRESENCE = Look(("tests/adapters/test_presence.py",))
SEEDS = Look(("tests/mutation/seeds.py",))
MAINTENANCE = Look(("tests/adapters/test_maintenance.py",), "unused_attachments")
GUARDS = Look(("tests/adapters/test_postgres_guards.py",))
STREAMS = Look(("tests/hazards/test_e_events.py",), "memory and not E3_", whole=True)
TOOLS = Look(
    ("tests/core/test_toolloop.py", "tests/core/test_canonical.py", "tests/hazards/test_p_approvals.py"), whole=True
)
REMOTE = Look(("tests/hazards/test_r_remote.py", "tests/hazards/test_r_callbacks.py"), "memory", whole=True)
NODES = Look(("tests/hazards/test_c_liveness.py",), "memory and is_cancelled", whole=True)
ACCESS = Look(("tests/core/test_access.py",))
VOICE = Look(("tests/hazards/test_voice.py",), "memory and not I1_", whole=True)
TENANCY = Look(("tests/adapters/test_tenants.py",), "memory", whole=True)
TAKEOUT = Look(("tests/hazards/test_export_and_erase.py",), "memory", whole=True)
BILLING = Look(("tests/hazards/test_b_billing.py",), "memory and B2", whole=True)

DOMAIN: Mapping[str, tuple[Look, ...]] = {
    **dict.fromkeys(
        ("task", "turn", "receive", "obey", "ending", "admission", "approval", "session", "replying", "instances"),
        (CORE, MEMORY, SEEDS),
    ),
    **dict.fromkeys(("policy", "canonical", "calls"), (TOOLS,)),
    "access": (ACCESS,),
}
STORES: Mapping[str, tuple[Look, ...]] = {
    **dict.fromkeys(("memory/state", "memory/store", "memory/leases", "memory/books"), (MEMORY, SEEDS)),
    **dict.fromkeys(
        (f"postgres/{name}" for name in ("writer", "values", "leases", "lines", "flusher", "store", "books")),
        (POSTGRES,),
    ),
    "postgres/connection": (POSTGRES, POOLER),
    "postgres/pooler": (POOLER,),
    "postgres/presence": (PRESENCE,),
    **dict.fromkeys(("postgres/statements", "postgres/book_statements"), (POSTGRES, MAINTENANCE)),
    "postgres/errors": (GUARDS,),
}
SHELL: Mapping[str, tuple[Look, ...]] = {
    **dict.fromkeys(
        ("announcing", "lane", "lanes", "reading", "pulse", "telling", "asking", "gate", "quotas", "lines"),
        (BY_HAND, SEEDS),
    ),
    "node": (BY_HAND, SEEDS, NODES),
    "runtime": (BY_HAND, SEEDS, REMOTE, VOICE),
    "voice": (BY_HAND, VOICE),
    "follow": (FOLLOW, SEEDS),
    "toolloop": (TOOLS,),
    "remote": (BY_HAND, REMOTE),
    "feed": (BY_HAND, SEEDS, STREAMS),
    "relay": (BY_HAND, BILLING),
    "takeout": (TAKEOUT,),
    "tenancy": (TENANCY,),
}

#: What decides nothing about a task, a lease or a log: values, their codecs, and processes.  The rest is above.
LEFT_OUT = frozenset(
    {
        *(
            "__init__",
            "books",
            "briefing",
            "caller",
            "changes",
            "commands",
            "context",
            "errors",
            "events",
            "house",
            "moving",
            "ids",
            "limits",
        ),
        *(
            "engine",
            "messages",
            "observe",
            "bus",
            "ports",
            "reply",
            "tooling",
            "prompts",
            "seal",
            "speech",
            "usage",
            "views",
            "memory/__init__",
            "memory/bus",
            "memory/clock",
        ),
        *(f"postgres/{name}" for name in ("__init__", "binaries", "embedded", "guard", "migrate", "process", "reads")),
        *("postgres/batch", "postgres/lender", "postgres/maintenance", "postgres/rows", "postgres/runas"),
        "postgres/shares",
    }
)


def mutants() -> Iterator[Mutant]:
    """Yield the mutants of the sources."""
    for name, looks in DOMAIN.items():
        yield from _of_module(f"agentcore.{name}", looks)
    for name, looks in STORES.items():
        yield from _of_module(f"agentcore_adapters.{name}".replace("/", "."), looks)
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
    if module.endswith("statements"):
        edits += _statements(source)
    edits += [("", plant.what, _replaced(source, plant)) for plant in PLANTS if plant.module == module]
    home = module.removeprefix("agentcore_adapters.").removeprefix("agentcore.")
    for where, what, changed in edits:
        yield Mutant(where=f"{home} {where}".strip(), what=what, looks=looks, module=module, source=changed)


def _replaced(source: str, plant: Plant) -> str:
    assert plant.old in source, plant
    return source.replace(plant.old, plant.new)


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
