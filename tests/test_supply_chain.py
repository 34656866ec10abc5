"""SEC32: what is installed is pinned, can be listed, and is what it was when it was pinned."""

import json
import re
import sys
import tomllib
from pathlib import Path

import anyio
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from agentcore.errors import EngineUnavailable, SttUnavailable
from agentcore.ids import EngineName
from agentcore_adapters.engines import catalog, weights
from agentcore_adapters.engines.catalog import EngineSettings, open_catalog
from agentcore_adapters.stt import weights as whisper
from tests import supply

ROOT = Path(__file__).parent.parent
PINS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"[\w.-]+(\[[\w,-]+\])?==\S+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
INDEXES = re.compile(r"py[p]i\.|python[h]osted\.|npm[j]s\.", re.IGNORECASE)
KINDS = {".py", ".toml", ".txt", ".md", ".sql", ".yml", ".json"}
MADE = {".git", "node_modules", ".nox", ".venv", "dist", "build", ".mypy_cache", ".ruff_cache", ".import_linter_cache"}


@pytest.mark.parametrize("pins", PINS, ids=lambda path: path.stem)
def test_SEC32_every_requirement_is_pinned_by_hash(pins: Path) -> None:
    entries = [entry for entry in re.split(r"\n(?=\S)", pins.read_text().strip()) if not entry.startswith("#")]
    assert entries
    assert [entry for entry in entries if not PINNED.fullmatch(entry)] == []


def test_SEC32_no_index_is_named_anywhere() -> None:
    paths = [path for path in ROOT.rglob("*") if path.suffix in KINDS and not set(path.relative_to(ROOT).parts) & MADE]
    assert len(paths) > 200
    assert [path for path in paths if INDEXES.search(path.read_text())] == []


def test_SEC32_the_core_needs_little_and_the_heavy_is_optional() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sorted(re.split(r"[<>=]", needed)[0] for needed in project["dependencies"]) == [
        "anyio",
        "attrs",
        "structlog",
    ]
    server = project["optional-dependencies"]["server"][0]
    assert not [heavy for heavy in ("claude]", "claude,", "stt", "otel", "testing") if heavy in server]


def test_SEC32_the_bill_of_materials_is_valid_and_complete(tmp_path: Path) -> None:
    targets = [tmp_path / "a.json", tmp_path / "b.json"]
    for target in targets:
        supply.write_sbom(target)
    one, two = (target.read_text() for target in targets)
    assert one == two
    listed = json.loads(one)
    assert (listed["bomFormat"], listed["metadata"]["component"]["name"]) == ("CycloneDX", "agentcore")
    validator = JsonStrictValidator(SchemaVersion.from_version(listed["specVersion"]))
    assert validator.validate_str(one) is None
    assert validator.validate_str(one.replace('"type": "library"', '"type": "nothing"')) is not None
    pins = (ROOT / "requirements/server.txt").read_text()
    pinned = set(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)", pins, re.MULTILINE))
    assert {(part["name"], part["version"]) for part in listed["components"]} == pinned
    assert all(part["externalReferences"][0]["hashes"] for part in listed["components"])


CLEAN = {"name": "a", "version": "1", "vulns": []}
HOLED = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}
AUDITOR = """
import json, sys
from pathlib import Path
report = Path(sys.argv[sys.argv.index("--output") + 1])
if {reaches}:
    report.write_text(json.dumps(dict(dependencies={found})))
sys.exit({status})
"""


@pytest.mark.parametrize(
    ("reaches", "status", "found", "told"),
    [
        (True, 0, [CLEAN], []),
        (True, 1, [CLEAN, HOLED], ["b 2: CVE-1", "b 2: CVE-2"]),
        (True, 0, [CLEAN, SKIPPED], ["c was not looked up"]),  # "No known vulnerabilities found", says pip-audit
        (False, 1, [], [supply.UNREACHABLE]),
    ],
)
def test_SEC32_an_audit_that_could_not_look_is_no_audit(
    tmp_path: Path, reaches: bool, status: int, found: list[object], told: list[str]
) -> None:
    script = tmp_path / "auditor.py"
    script.write_text(AUDITOR.format(reaches=reaches, status=status, found=found))
    (tmp_path / "audit-test.json").write_text("of the last time")
    assert supply.audit([sys.executable, str(script)], [tmp_path / "test.txt"], tmp_path) == told


@pytest.mark.anyio
async def test_SEC32_changed_weights_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has changed the file after it was fetched, and kept its size."""
    changed = tmp_path / "models" / weights.GGUF
    changed.parent.mkdir()
    changed.write_bytes(b"GGUF" + b"\0" * 96)
    monkeypatch.setattr(weights, "GGUF_BYTES", 100)
    monkeypatch.setattr(catalog, "_is_installed", lambda _: True)
    async with open_catalog(EngineSettings(data_dir=tmp_path)) as engines:
        listing = next(listing for listing in engines.listings if listing.name == EngineName("local"))
        assert listing.model is not None
        with anyio.fail_after(10), pytest.raises(EngineUnavailable, match="not the pinned ones") as refused:
            await listing.model.host.start()  # type: ignore[attr-defined]
        assert str(tmp_path) not in str(refused.value)


@pytest.mark.anyio
async def test_SEC32_changed_weights_do_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "models" / whisper.FOLDER / "model.bin"
    changed.parent.mkdir(parents=True)
    changed.write_bytes(b"\0" * 100)
    monkeypatch.setattr(whisper, "MODEL_BYTES", 100)
    with pytest.raises(SttUnavailable, match="not the pinned ones"):
        await whisper.fetch_whisper(tmp_path, say=print)
