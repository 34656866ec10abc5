"""The image: what can be known of it without building it."""

import fnmatch
import json
import re
import shlex
from collections.abc import Iterator

from attrs import frozen
from tests.support.deployed import DEPLOY, ROOT, accepted

from agentcore_http.__main__ import _parser

FILE = DEPLOY / "container/Containerfile"
UID = "10001"


@frozen
class Step:
    """One instruction of one stage."""

    stage: int
    name: str
    text: str


def steps() -> Iterator[Step]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE))
    stage = -1
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, text = line.partition(" ")
        stage += name == "FROM"
        yield Step(stage, name, text.strip())


STEPS = list(steps())
LAST = max(step.stage for step in STEPS)


def of(name: str, stage: int = LAST) -> list[str]:
    return [step.text for step in STEPS if step.name == name and step.stage == stage]


def is_sent(path: str) -> bool:
    """Whether a path is in the context of the build, as .dockerignore says: the last line that fits counts."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!").removeprefix("**/")
        if line and not line.startswith("#"):
            parts = path.split("/")
            tops = ["/".join(parts[: end + 1]) for end in range(len(parts))] + (parts if "**/" in line else [])
            if any(fnmatch.fnmatchcase(top, pattern) for top in tops):
                sent = line.startswith("!")
    return sent


def test_it_is_built_in_one_stage_and_runs_in_another_without_what_builds() -> None:
    assert LAST == 1
    assert [text for text in of("COPY") if "--from=build" not in text] == []
    assert not re.search(r"apt-get|apk |pip install|npm|curl", " ".join(of("RUN")))
    assert "pip uninstall" in " ".join(of("RUN"))


def test_base_images_are_named_with_their_version() -> None:
    (argument,) = [step.text for step in STEPS if step.name == "ARG"]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.1[123]-slim", argument)
    assert [step.text.split()[0] for step in STEPS if step.name == "FROM"] == ["${PYTHON_IMAGE}"] * 2


def test_everything_is_installed_by_hash_or_from_what_was_built_here() -> None:
    (first, second) = (text for text in of("RUN", 0) if "install" in text)
    installs = [part.strip() for text in (first, second) for part in text.split("&&") if "install" in part]
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes -r requirements/" in install or "--no-index /wheels/" in install, install
    assert "pip wheel --no-deps --no-build-isolation" in second  # what builds is pinned, too


def test_what_is_copied_is_there_and_in_the_context() -> None:
    copied = [source for text in of("COPY", 0) for source in shlex.split(text)[:-1]]
    assert {"src", "console", "requirements/server.txt", "requirements/build.txt"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


def test_what_does_not_belong_into_an_image_is_not_in_the_context() -> None:
    for path in (
        ".git/config",
        "deploy/compose/.env",
        "tests/conftest.py",
        "src/agentcore/__pycache__/x.pyc",
        ".venv/a",
    ):
        assert not is_sent(path), path
    for path in ("console/node_modules/a.js", "src/agentcore_http/console/index.html", "src/.env"):
        assert not is_sent(path), path
    assert is_sent("src/agentcore/task.py")
    assert is_sent("src/agentcore_adapters/postgres/migrations/0001_pre_schema.sql")
    assert is_sent("console/package-lock.json")


def test_it_runs_as_nobody_in_particular_with_a_number_that_stays() -> None:
    assert of("USER") == [f"{UID}:{UID}"]
    assert f"useradd --uid {UID} --gid {UID}" in " ".join(of("RUN"))
    assert f"install -d -o {UID} -g {UID} -m 0700 /var/lib/agentcore" in " ".join(of("RUN"))
    order = [step.name for step in STEPS if step.stage == LAST]
    assert order.index("RUN") < order.index("COPY") < order.index("USER")


def test_it_is_told_to_stop_as_the_server_expects() -> None:
    assert of("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(of("ENTRYPOINT")[0]) == ["agentcore"]  # no shell that would swallow it


def test_its_command_is_one_that_the_server_knows() -> None:
    options = _parser().parse_args(json.loads(of("CMD")[0]))
    assert (options.command, options.host, options.port) == ("serve", "0.0.0.0", 8000)
    assert of("EXPOSE") == [str(options.port)]


def test_its_health_is_asked_where_it_listens() -> None:
    (health,) = of("HEALTHCHECK")
    command = json.loads(health.partition("CMD")[2])
    assert command[:2] == ["python", "-c"]
    assert "'http://127.0.0.1:8000/healthz'" in command[2]
    compile(command[2], "health", "exec")


def test_its_data_are_in_a_volume() -> None:
    environ = dict(re.findall(r"([A-Z_]+)=(\S+)", of("ENV")[0]))
    assert of("VOLUME") == [environ["AGENTCORE_DATA_DIR"]] == [environ["HOME"]]
    assert str(accepted({"AGENTCORE_DATA_DIR": environ["AGENTCORE_DATA_DIR"]}).data) == "/var/lib/agentcore"
