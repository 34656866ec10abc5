"""What the files set is what the server knows, and what they point at is there."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from attrs import fields
from tests.support.deployed import CHART, DEPLOY, ROOT, accepted, env_file

from agentcore_http.settings import PREFIX, Settings, SettingsError, variable

FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
KNOWN = {variable(attribute) for attribute in fields(Settings)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What Kubernetes would make of a Service called agentcore; the chart says why it does not.
SERVICE_LINKS = {"AGENTCORE_PORT"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_variable_that_is_named_is_a_setting(path: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+", path.read_text()))
    assert named - KNOWN - SERVICE_LINKS == set()


def test_a_setting_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match="AGENTCORE_PORT is not a setting"):
        accepted({"AGENTCORE_PORT": "tcp://10.0.0.1:80"})


@pytest.mark.parametrize("path", [*DEPLOY.rglob("*.example"), *DEPLOY.rglob("*.env")], ids=lambda path: path.name)
def test_the_examples_of_environments_are_accepted(path: Path) -> None:
    filled = {name: value or "0123456789abcdef" * 4 for name, value in env_file(path).items()}
    accepted({name: value for name, value in filled.items() if name.startswith(PREFIX)})
    commented = re.findall(r"^#([A-Z_0-9]+)=(.*)$", path.read_text(), re.MULTILINE)
    accepted({name: value or "key" for name, value in commented if name.startswith(PREFIX)})


def test_no_file_holds_a_secret() -> None:
    for path in FILES:
        for name, value in re.findall(r"^\s*(\w*(?:PASSWORD|SECRET|KEY)\w*)=(.*)$", path.read_text(), re.MULTILINE):
            assert value == "", f"{path.name}: {name}"


def test_all_of_them_run_the_version_that_is_here() -> None:
    version = PROJECT["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)
    images = [
        found
        for path in FILES
        for found in re.findall(r"\bagentcore:([\w.-]+)", path.read_text())
        if found[0].isdigit()
    ]
    assert set(images) == {version}


def test_the_chart_carries_the_alerts_as_they_are() -> None:
    """A chart can only hold what lies in its folder: there it is a link, which Helm follows."""
    assert (CHART / "files/alerts.yml").read_text() == (DEPLOY / "prometheus/alerts.yml").read_text()
