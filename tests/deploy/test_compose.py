"""The cluster of Docker Compose: a valid file whose parts fit each other."""

import json
import re

import jsonschema
import pytest
import yaml
from tests.support.deployed import (
    DEPLOY,
    INTERPOLATED,
    ROOT,
    Json,
    accepted,
    compose_schema,
    documents,
    env_file,
    interpolated,
    stopping,
)

from agentcore_http.auth.choice import check

FOLDER = DEPLOY / "compose"
TEXT = (FOLDER / "compose.yaml").read_text()
EXAMPLE = env_file(FOLDER / "env.example")
FILLED = {name: value or f"{name.lower()}-{'0' * 32}" for name, value in EXAMPLE.items()}
COMPOSE: Json = interpolated(yaml.safe_load(TEXT), FILLED)
SERVICES: Json = COMPOSE["services"]
NODES = ("node1", "node2", "node3")
OPENAPI = json.loads((ROOT / "docs/reference/openapi.json").read_text())


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(s|m)", text)
    assert found
    return int(found[1]) * {"s": 1, "m": 60}[found[2]]


def volumes(service: Json) -> list[tuple[str, str]]:
    return [(source, target) for source, target, *_ in (text.split(":") for text in service.get("volumes", []))]


def test_it_is_what_the_specification_allows() -> None:
    jsonschema.validate(COMPOSE, compose_schema())
    wrong = COMPOSE | {"services": SERVICES | {"node1": SERVICES["node1"] | {"stop_grace": "1s"}}}
    with pytest.raises(jsonschema.ValidationError, match="stop_grace"):
        jsonschema.validate(wrong, compose_schema())


def test_every_variable_is_in_the_example_and_the_other_way_round() -> None:
    used = {name for name, _, _ in INTERPOLATED.findall(re.sub(r"#.*", "", TEXT))}
    commented = set(re.findall(r"^#([A-Z_]+)=", (FOLDER / "env.example").read_text(), re.MULTILINE))
    assert used == EXAMPLE.keys() | commented


def test_without_its_secrets_it_does_not_start() -> None:
    for name in ("POSTGRES_PASSWORD", "NATS_PASSWORD", "AGENTCORE_SECRET_KEY"):
        assert re.search(rf"\$\{{{name}:\?", TEXT), name
    with pytest.raises(KeyError, match="POSTGRES_SERVICE_PASSWORD"):
        interpolated(yaml.safe_load(TEXT), {})


def test_what_is_referred_to_is_there() -> None:
    for name, service in SERVICES.items():
        needed = service.get("depends_on", {})
        assert set(needed) <= SERVICES.keys(), name
        assert set(service["networks"]) <= COMPOSE["networks"].keys(), name
        for source, target in volumes(service):
            if source.startswith("."):
                assert (FOLDER / source).is_file(), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"
            assert target.startswith("/")
    used = {source for service in SERVICES.values() for source, _ in volumes(service)}
    assert COMPOSE["volumes"].keys() <= used
    waits = {(n, other, how["condition"]) for n in NODES for other, how in SERVICES[n]["depends_on"].items()}
    assert {(n, "migrate", "service_completed_successfully") for n in NODES} <= waits
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


@pytest.mark.parametrize("name", list(SERVICES))
def test_a_service_is_kept_in_bounds(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.?\d*[\w.-]*$", service["image"]), service["image"]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    assert service["logging"]["options"]["max-size"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    for port in service.get("ports", []):  # all but the proxy are for this machine alone
        assert name == "proxy" or port.startswith("127.0.0.1:"), port


def test_only_the_proxy_and_nodes_are_where_one_can_leave() -> None:
    assert COMPOSE["networks"]["back"] == {"internal": True}
    behind = {name for name, service in SERVICES.items() if service["networks"] == ["back"]}
    assert behind == {"postgres", "nats1", "nats2", "nats3", "migrate", "maintenance"}


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_one_that_the_server_would_start(name: str) -> None:
    service = SERVICES[name]
    settings = accepted(service["environment"])
    check(settings, "0.0.0.0", keeps_keys=False)
    assert service["command"] == ["serve", "--host", "0.0.0.0"]
    assert str(settings.database_url).startswith("postgresql://agentcore_service:")
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert volumes(service) == [(f"{name}-data", "/var/lib/agentcore")]


def test_the_owners_login_is_with_the_owners_commands_alone() -> None:
    with_owner = {name for name, service in SERVICES.items() if "agentcore_owner:" in str(service.get("environment"))}
    assert with_owner == {"migrate", "maintenance"}
    assert SERVICES["migrate"]["command"] == ["migrate"]
    assert "agentcore migrate" in SERVICES["maintenance"]["entrypoint"][-1]


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_the_time_to_stop_that_it_may_take(name: str) -> None:
    allowed, needed = seconds(SERVICES[name]["stop_grace_period"]), stopping(SERVICES[name]["environment"])
    assert needed + 5 <= allowed <= 2 * needed


def test_the_proxy_sees_that_a_node_goes_before_it_does() -> None:
    proxy = (FOLDER / "Caddyfile").read_text()
    (period,) = re.findall(r"health_interval (\d+)s", proxy)
    (patience,) = re.findall(r"health_timeout (\d+)s", proxy)
    for name in NODES:
        notice = accepted(SERVICES[name]["environment"]).notice_seconds
        assert notice is not None
        assert 2 * (int(period) + int(patience)) <= notice


def test_health_is_asked_where_the_server_answers() -> None:
    asked = [*re.findall(r"127\.0\.0\.1:8000(/\w+)", TEXT), *re.findall(r"health_uri (\S+)", proxy_text())]
    assert asked
    assert {*asked, "/metrics"} <= OPENAPI["paths"].keys()
    for name in (*NODES, "proxy", "postgres", "nats1", "nats2", "nats3"):
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD", name


def proxy_text() -> str:
    return (FOLDER / "Caddyfile").read_text()


def test_the_proxy_and_prometheus_ask_the_nodes_that_there_are() -> None:
    nodes = [f"{name}:8000" for name in NODES]
    assert re.findall(r"\{\$NODES:([^}]*)\}", proxy_text()) == [" ".join(nodes)]
    (config,) = documents((FOLDER / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("agentcore", [{"targets": nodes}])
    assert [target for _, target in volumes(SERVICES["prometheus"]) if target in config["rule_files"]]


def test_the_dashboard_is_where_grafana_looks() -> None:
    (provided,) = documents((FOLDER / "grafana/dashboards.yaml").read_text())
    folder = provided["providers"][0]["options"]["path"]
    mounted = {target: source for source, target in volumes(SERVICES["grafana"])}
    assert (FOLDER / mounted[f"{folder}/agentcore.json"]).resolve() == DEPLOY / "grafana/agentcore.json"
