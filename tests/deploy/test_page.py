"""docs/how-to/deploy.md: nothing of it can be run here, but what it names is there and its numbers are the files'."""

import re
import subprocess
from pathlib import Path

import yaml
from tests.docs.blocks import blocks
from tests.support.deployed import CHART, DEPLOY, ROOT, accepted, documents, helm, stopping

PAGE = "docs/how-to/deploy.md"
TEXT = (ROOT / PAGE).read_text()
SHELL = [block.text for block in blocks(PAGE) if block.language == "sh"]
SERVICES = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]


def test_its_commands_are_well_formed() -> None:
    assert len(SHELL) >= 9
    for text in SHELL:
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_what_it_names_is_there() -> None:
    for named in re.findall(r"\b((?:deploy|requirements|tests)/[\w@.*/-]*\w/?)", TEXT):
        assert list(ROOT.glob(named)), named
    for unit in re.findall(r"agentcore(?:@\d+|-\w+)?\.(?:service|timer)|agentcore@\d+", TEXT):
        name = re.sub(r"@\d+", "@", unit)
        assert (DEPLOY / "systemd" / (name if "." in name else f"{name}.service")).exists(), unit
    for service in re.findall(r"docker compose run --rm (\w+)", TEXT) + re.findall(r"\bnode\d\b", "\n".join(SHELL)):
        assert service in SERVICES


def test_its_values_are_ones_that_the_chart_takes(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(PAGE) if block.title == "values.yaml"]
    values = tmp_path / "values.yaml"
    values.write_text(block.text)
    command = [helm(), "template", "agentcore", str(CHART), "--values", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {"Ingress", "ServiceMonitor", "PrometheusRule"} <= {item["kind"] for item in documents(done.stdout)}
    assert accepted(yaml.safe_load(block.text)["settings"]).auth == "jwt"


def test_its_times_are_those_of_the_files() -> None:
    rows = re.findall(r"^\| (\w+) \| (\d+) s \| (\d+) s \| (\d+) s \| `[\w:= ]*?(\d+)s?`", TEXT, re.MULTILINE)
    told = {name: tuple(map(int, numbers)) for name, *numbers in rows}
    node = SERVICES["node1"]
    unit = (DEPLOY / "systemd/agentcore.service").read_text()
    stop = yaml.safe_load((CHART / "values.yaml").read_text())["stop"]
    notice, drain = stop["noticeSeconds"], stop["drainSeconds"]
    assert told == {
        "Compose": times(
            node["environment"]["AGENTCORE_NOTICE_SECONDS"],
            node["environment"]["AGENTCORE_DRAIN_SECONDS"],
            node["stop_grace_period"].removesuffix("s"),
        ),
        "Kubernetes": times(notice, drain, notice + 10 + drain + 5 + 10),
        "systemd": times(
            *(re.findall(rf"{name}=(\d+)", unit)[0] for name in ("NOTICE_SECONDS", "DRAIN_SECONDS", "TimeoutStopSec"))
        ),
    }


def times(notice: object, drain: object, allowed: object) -> tuple[int, ...]:
    needed = stopping({"AGENTCORE_NOTICE_SECONDS": str(notice), "AGENTCORE_DRAIN_SECONDS": str(drain)})
    return int(str(notice)), int(str(drain)), int(needed), int(str(allowed))
