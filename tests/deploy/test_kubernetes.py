"""The Helm chart, rendered by Helm, against the schemas of Kubernetes and against what the server needs."""

import json
import subprocess
from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml
from tests.support.deployed import CHART, DEPLOY, ROOT, Json, accepted, documents, helm, kubernetes_schemas, stopping

from agentcore_http.__main__ import _parser

FULL = CHART / "ci/full.yaml"
CHOICES = {"default": (), "full": ("--values", str(FULL))}
VERSIONS = ("v1.29.0", "v1.37.0")  # the oldest that Chart.yaml lets in, and the newest that there are schemas of
OPERATOR = "monitoring.coreos.com/v1"  # its schemas are in no package
PATHS = json.loads((ROOT / "docs/reference/openapi.json").read_text())["paths"]


@cache
def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False, timeout=60)


@cache
def rendered(choice: str) -> list[Json]:
    done = run("template", "agentcore", str(CHART), *CHOICES[choice])
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def the(choice: str, kind: str) -> Json:
    (found,) = [item for item in rendered(choice) if item["kind"] == kind]
    return found


def pods(choice: str) -> dict[str, Json]:
    """The template of each kind that makes pods."""
    return {
        "Deployment": the(choice, "Deployment")["spec"]["template"],
        "Job": the(choice, "Job")["spec"]["template"],
        "CronJob": the(choice, "CronJob")["spec"]["jobTemplate"]["spec"]["template"],
    }


def container(choice: str, kind: str = "Deployment") -> Json:
    (found,) = pods(choice)[kind]["spec"]["containers"]
    result: Json = found
    return result


def environ(choice: str) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container(choice)["env"]}


choices = pytest.mark.parametrize("choice", CHOICES)
kinds = pytest.mark.parametrize("kind", ["Deployment", "Job", "CronJob"])


def invalid(item: Json, version: str) -> list[str]:
    """What Kubernetes would refuse of an object, whose kind it must know."""
    schemas = kubernetes_schemas(version)
    group, _, api = item["apiVersion"].rpartition("/")
    wanted = {"group": group, "version": api, "kind": item["kind"]}
    (name,) = [
        name for name, schema in schemas["$defs"].items() if schema.get("x-kubernetes-group-version-kind") == [wanted]
    ]
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schemas["$defs"]})
    return [f"{item['kind']}: {error.json_path}: {error.message}" for error in validator.iter_errors(item)]


@choices
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(choice: str, version: str) -> None:
    assert [
        wrong for item in rendered(choice) if item["apiVersion"] != OPERATOR for wrong in invalid(item, version)
    ] == []


def test_kubernetes_would_refuse_a_field_that_it_does_not_know() -> None:
    item = deepcopy(the("default", "Deployment"))
    item["spec"]["template"]["spec"]["terminationGraceSeconds"] = 5
    item["spec"]["replicas"] = "three"
    assert len(invalid(item, VERSIONS[-1])) == 2


@choices
def test_helm_finds_nothing_to_say(choice: str) -> None:
    done = run("lint", "--strict", str(CHART), *CHOICES[choice])
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "settings.AGENTCORE_SECRET_KEY=x",
            "AGENTCORE_SECRET_KEY",
        ),  # it would be in the release, and in everybody's view
        ("settings.AGENTCORE_DRAIN_SECONDS=5", "AGENTCORE_DRAIN_SECONDS"),  # the grace period would not follow
        ("settings.AGENTCORE_AUTH=none", "AGENTCORE_AUTH"),
        ("image.tag=latest", "tag"),
        ("replica=3", "replica"),
        ("ingress.enabled=true", "ingress.host"),
    ],
)
def test_what_would_go_wrong_is_refused_before_it_is_installed(change: str, said: str) -> None:
    done = run("template", "agentcore", str(CHART), "--set-string" if "=x" in change else "--set", change)
    assert done.returncode != 0
    assert said in done.stderr


@choices
def test_the_settings_are_ones_that_the_server_takes(choice: str) -> None:
    assert accepted(environ(choice)).auth == {"default": "jwt", "full": "gateway"}[choice]
    assert len(environ(choice)) == len(container(choice)["env"])  # none comes twice
    words = [str(word) for word in container(choice)["args"]]
    options = _parser().parse_args(words)
    assert (options.command, options.host) == ("serve", "0.0.0.0")
    assert [port["containerPort"] for port in container(choice)["ports"]] == [options.port]


@choices
def test_a_pod_has_the_time_to_stop_that_it_may_take(choice: str) -> None:
    allowed = pods(choice)["Deployment"]["spec"]["terminationGracePeriodSeconds"]
    needed = stopping(environ(choice))
    assert needed + 5 <= allowed <= needed + 30


@choices
def test_a_pod_is_out_of_the_service_before_it_stops_to_listen(choice: str) -> None:
    probe = container(choice)["readinessProbe"]
    notice = accepted(environ(choice)).notice_seconds
    assert notice is not None
    assert probe["failureThreshold"] * (probe["periodSeconds"] + probe["timeoutSeconds"]) < notice
    assert probe["timeoutSeconds"] > 2  # what /readyz gives the database
    assert "lifecycle" not in container(choice)  # a sleep before SIGTERM would come on top, with /readyz still at 200


@choices
def test_probes_ask_what_there_is(choice: str) -> None:
    asked = {name: container(choice)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {probe["path"] for probe in asked.values()} <= PATHS.keys()
    assert {probe["port"] for probe in asked.values()} == {container(choice)["ports"][0]["name"]}


@choices
@kinds
def test_pods_are_as_restricted_as_the_standard_asks(choice: str, kind: str) -> None:
    """Pod Security Standards, profile "restricted"; and nothing can be written but to volumes."""
    pod, inner = pods(choice)[kind]["spec"], container(choice, kind)["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"emptyDir", "secret", "configMap"}
    assert pod["automountServiceAccountToken"] is False
    assert {"/tmp"} <= {mount["mountPath"] for mount in container(choice, kind)["volumeMounts"]}
    assert container(choice, kind)["resources"]["limits"]["memory"]


@choices
@kinds
def test_no_variable_comes_from_the_services_of_the_namespace(choice: str, kind: str) -> None:
    """A Service called agentcore makes AGENTCORE_PORT, which the server refuses as a setting that it does not know."""
    assert pods(choice)[kind]["spec"]["enableServiceLinks"] is False


@choices
def test_mounts_and_volumes_belong_together(choice: str) -> None:
    for kind, pod in pods(choice).items():
        names = {volume["name"] for volume in pod["spec"]["volumes"]}
        assert {mount["name"] for mount in container(choice, kind)["volumeMounts"]} == names
    mounted = [mount["mountPath"] for mount in container(choice)["volumeMounts"]]
    for name in ("AGENTCORE_DATA_DIR", "AGENTCORE_NATS_CA", "AGENTCORE_TOOLS_MCP_CONFIG"):
        if path := environ(choice).get(name):
            assert [place for place in mounted if path.startswith(place)], name


@choices
def test_selectors_find_the_pods_that_are_meant(choice: str) -> None:
    server, job = (pods(choice)[kind]["metadata"]["labels"].items() for kind in ("Deployment", "Job"))
    nodes_only: list[Any] = [
        the(choice, "Deployment")["spec"]["selector"]["matchLabels"],
        the(choice, "Service")["spec"]["selector"],
        the(choice, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    nodes_only += [
        rule["labelSelector"]["matchLabels"] for rule in pods(choice)["Deployment"]["spec"]["topologySpreadConstraints"]
    ]
    for selector in nodes_only:
        assert selector.items() <= server
        assert not selector.items() <= job
    policy = the(choice, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert policy <= server
    assert policy <= job


@choices
def test_the_owner_migrates_before_anything_else_and_alone_has_its_login(choice: str) -> None:
    job = the(choice, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert the(choice, "CronJob")["spec"]["concurrencyPolicy"] == "Forbid"
    for kind in ("Job", "CronJob"):
        assert container(choice, kind)["args"] == ["migrate"]
        (variable,) = container(choice, kind)["env"]
        assert variable["valueFrom"]["secretKeyRef"] == {"name": "agentcore-owner", "key": "AGENTCORE_DATABASE_URL"}
        assert "serviceAccountName" not in pods(choice)[kind]["spec"]  # the chart's own is not there yet
    assert container(choice)["envFrom"] == [{"secretRef": {"name": "agentcore"}}]


@choices
def test_nothing_that_is_made_holds_a_secret(choice: str) -> None:
    assert not [item for item in rendered(choice) if item["kind"] == "Secret"]


@choices
def test_an_upgrade_takes_no_node_before_there_is_another(choice: str) -> None:
    assert the(choice, "Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert the(choice, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_who_scales_by_load_says_no_number() -> None:
    assert "replicas" not in the("full", "Deployment")["spec"]
    scaler = the("full", "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert scaler["name"] == the("full", "Deployment")["metadata"]["name"]
    assert the("default", "Deployment")["spec"]["replicas"] == 3


def test_nodes_may_go_where_they_must_and_not_where_clouds_keep_credentials() -> None:
    spec = the("default", "NetworkPolicy")["spec"]
    ports = {rule["port"] for allowed in spec["egress"] for rule in allowed["ports"]}
    assert {53, 443, 5432, 4222} <= ports
    blocks = [peer["ipBlock"] for allowed in spec["egress"] for peer in allowed.get("to", [])]
    assert [block["except"][0] for block in blocks] == ["169.254.0.0/16", "fe80::/10"]
    assert [rule["port"] for allowed in spec["ingress"] for rule in allowed["ports"]] == [
        container("default")["ports"][0]["containerPort"]
    ]


def test_figures_are_not_for_everybody() -> None:
    (rule,) = the("full", "Ingress")["spec"]["rules"]
    assert "/metrics" in PATHS
    for path in rule["http"]["paths"]:
        assert not ("/metrics".startswith(path["path"]) and path["pathType"] == "Prefix")
    prefixes = [path["path"] for path in rule["http"]["paths"] if path["pathType"] == "Prefix"]
    for path in PATHS.keys() - {"/metrics", "/healthz", "/readyz"}:
        assert path.startswith(tuple(prefixes)), path


def test_the_operator_of_prometheus_is_told_what_the_repository_says() -> None:
    alerts = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    assert the("full", "PrometheusRule")["spec"] == alerts
    monitor = the("full", "ServiceMonitor")["spec"]
    service = the("full", "Service")
    (endpoint,) = monitor["endpoints"]
    assert endpoint["path"] in PATHS
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "agentcore"
    assert not [item for item in rendered("default") if item["apiVersion"] == OPERATOR]
