"""The database's guard, printed from the domain's table.

Law: what may follow what is said once, in ``TRANSITIONS``; ``task_transition`` is a copy that a test compares.
Print the rows for a migration with ``python -m agentcore_adapters.postgres.guard``.
"""

import sys

from agentcore.task import TRANSITIONS


def pairs() -> tuple[tuple[str, str], ...]:
    """Return (status before, status after) of every row of the table, each pair once and in the table's order."""
    found = ((was.value, becomes.value) for was, row in TRANSITIONS.items() for becomes in row.values())
    return tuple(dict.fromkeys(found))


def statement() -> str:
    """Write the pairs as the INSERT of a migration."""
    values = ",\n".join(f"  ('{was}', '{becomes}')" for was, becomes in pairs())
    return f"INSERT INTO task_transition VALUES\n{values};\n"


if __name__ == "__main__":
    sys.stdout.write(statement())
