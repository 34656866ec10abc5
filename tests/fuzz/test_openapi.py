"""The server is attacked from its own OpenAPI document, and answers as it says there."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from tests.support.server import Served

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLES = os.environ.get("AGENTCORE_FUZZ_EXAMPLES", "4")
WITHIN_S = float(os.environ.get("AGENTCORE_FUZZ_SECONDS", "300"))


async def attack(served: Served, more: Mapping[str, str] | None = None) -> str:
    """Run schemathesis with all its phases; return what it has to complain about, with how to repeat it.

    *more*: variables, with which it is told what else to look at.
    """
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    settled = ("--seed", "1", "--generation-deterministic", "--workers", "1", "--no-color", "--max-examples", EXAMPLES)
    with anyio.fail_after(WITHIN_S):
        done = await anyio.run_process(
            [*command, f"{served.url}/schema", *settled], check=False, cwd=ROOT, env={**os.environ, **(more or {})}
        )
    said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    return "" if done.returncode == 0 else said[-6000:]


async def test_the_server_answers_as_its_document_says(served: Served) -> None:
    if complaints := await attack(served):
        pytest.fail(complaints, pytrace=False)
    assert (await served.http.get(f"{served.url}/readyz")).json() == {"ready": True, "reasons": [], "degraded": []}
    done = await served.done("[[say:still here]]")
    assert done["result"] == "still here"
