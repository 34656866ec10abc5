"""What operators are given, the dashboard, the alerts and the runbook, names what is there."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.support.database import Server
from tests.support.server import Json, receive, serving

from agentcore_adapters.postgres.store import postgres_store
from agentcore_adapters.telemetry.prometheus import table
from agentcore_http.__main__ import _parser
from agentcore_http.app import API
from agentcore_http.described.schemas import problem_codes
from agentcore_http.described.table import ROWS
from agentcore_http.telemetry import figures

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
DASHBOARD: Json = json.loads((ROOT / "deploy/grafana/agentcore.json").read_text())
(GROUP,) = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
RUNBOOK = (ROOT / "docs/how-to/runbook.md").read_text()
OF_PROMETHEUS = {"up": {"job", "instance"}}
OF_TARGETS = {"job", "instance"}
VALUES = {"status": {"completed", "failed", "cancelled", "5..", "429"}, "job": {"agentcore"}, "instance": {"$instance"}}


def panels() -> list[Json]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    found = {f"alert {rule['alert']}": rule["expr"] for rule in GROUP["rules"]}
    for panel in panels():
        found |= {f"panel {panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    return {place: query.replace("$__rate_interval", "5m") for place, query in found.items()}


def selectors(node: Any) -> Iterator[promql.VectorSelector]:
    """Walk through a parsed query."""
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "vs", "param"):
        child = getattr(node, name, None)
        if isinstance(child, promql.Expr):
            yield from selectors(child)
    for child in getattr(node, "args", ()):
        yield from selectors(child)


def grouped(query: str) -> set[str]:
    return {name for names in re.findall(r"\bby \(([^)]*)\)", query) for name in re.split(r",\s*", names)}


@pytest.fixture(scope="module")
def shown() -> dict[str, set[str]]:
    """Names and labels as they are documented, a histogram in its three parts."""
    found: dict[str, set[str]] = {}
    for name, kind, labels, _ in table():
        own = set(filter(None, labels.split(", ")))
        parts = {"_bucket": {*own, "le"}, "_sum": own, "_count": own} if kind == "histogram" else {"": own}
        found |= {name + end: its for end, its in parts.items()}
    return found


def test_every_query_names_what_is_exposed(shown: dict[str, set[str]]) -> None:
    process = {"process_resident_memory_bytes": set[str](), "process_cpu_seconds_total": set[str]()}
    known = shown | OF_PROMETHEUS | process
    for place, query in queries().items():
        wanted = list(selectors(promql.parse(query)))
        assert wanted, place
        labels: set[str] = set()
        for selector in wanted:
            assert selector.name in known, place
            labels |= known[selector.name]
            matched = {matcher.name for matcher in selector.matchers.matchers}
            assert matched <= known[selector.name] | OF_TARGETS, place
        assert grouped(query) <= labels | OF_TARGETS, place
        for name in ("code", "outcome"):
            values = {v for text in re.findall(rf'\b{name}=~?"([^"]*)"', query) for v in text.split("|")}
            assert values <= {c for codes in problem_codes().values() for c in codes} | {"ENGINE_AUTH"}, place
        for name, allowed in VALUES.items():
            assert set(re.findall(rf'\b{name}=~?"([^"]*)"', query)) <= allowed, place


def test_a_query_that_is_wrong_is_seen(shown: dict[str, set[str]]) -> None:
    (wrong,) = selectors(promql.parse("sum(rate(agentcore_no_such_total[5m]))"))
    assert wrong.name not in shown
    with pytest.raises(ValueError, match=r"\)|eof|unclosed"):
        promql.parse("sum(rate(agentcore_tasks_total[5m])")


def test_legends_and_summaries_name_labels_that_are_there(shown: dict[str, set[str]]) -> None:
    for panel in panels():
        for target in panel["targets"]:
            kept = grouped(target["expr"]) - {"le"} | (set() if " by " in target["expr"] else OF_TARGETS)
            assert set(re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"])) <= kept, panel["title"]
    for rule in GROUP["rules"]:
        kept = grouped(rule["expr"]) | (OF_TARGETS if " by " not in rule["expr"] else set())
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept, rule["alert"]


async def test_a_server_at_work_exposes_what_is_asked_for(postgres: Server, shown: dict[str, set[str]]) -> None:
    """Names and labels of the table are those of a real scrape, after tasks, failures, tools and streams."""
    async with postgres_store(postgres.fresh()[1]) as stores, serving(*stores, telemetry=figures()) as served:
        one = await served.done('[[say:x]] [[tool:t:{"a": 1}]]')
        await served.done("[[raise]]")
        await served.call("GET", "/tasks/nothing")
        async with served.socket(one["sessionId"]) as socket:
            await receive(socket)
            text = (await served.http.get(served.url + "/metrics")).text
    real: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            real.setdefault(sample.name, set()).update(sample.labels)
    ours = {name: labels for name, labels in real.items() if name in shown}
    assert {name: shown[name] for name in ours} == ours
    asked = {selector.name for query in queries().values() for selector in selectors(promql.parse(query))}
    rare = {"agentcore_approvals_total", "agentcore_tasks_requeued_total", "agentcore_provider_cost_usd_total"}
    assert asked - set(real) - set(OF_PROMETHEUS) <= rare


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["description"], panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([panel["targets"] for panel in panels()])))
    assert used <= {*variables, "__rate_interval"}
    assert "://" not in json.dumps(DASHBOARD)
    assert not DASHBOARD.get("id")


# ------------------------------------------------------------------------------------------- alerts and the runbook
def sections() -> dict[str, str]:
    parts = re.split(r"^## (\w+)$", RUNBOOK, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    names = [rule["alert"] for rule in GROUP["rules"]]
    assert names == list(sections())
    for rule in GROUP["rules"]:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
        assert rule["labels"] in [{"severity": "critical"}, {"severity": "warning"}]
        assert rule["annotations"]["runbook_url"] == f"docs/how-to/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
    told = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    for name in names:  # why the threshold is what it is
        assert re.search(rf"- alert: {name}\n        # ", told), name


@pytest.mark.parametrize("name", list(sections()))
def test_a_section_says_everything(name: str) -> None:
    for part in ("What it means.", "What users notice.", "Look.", "Do.", "Over when"):
        assert f"**{part}**" in sections()[name]
    for anchor in re.findall(r"\]\(#(\w+)\)", sections()[name]):
        assert anchor in {other.lower() for other in sections()}


def logged() -> dict[str, set[str]]:
    """Events that are logged anywhere in the code, each with its level and its fields."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=level), args=[ast.Constant(str(name))]):
                    found.setdefault(name, set()).update({level, *(str(k.arg) for k in call.keywords if k.arg)})
                    optional = [k.value for k in call.keywords if k.arg is None]
                    given = {key.value for part in optional for key in ast.walk(part) if isinstance(key, ast.Constant)}
                    found[name] |= {str(key) for key in given if key}
                case ast.Call(func=ast.Name("_say"), args=[ast.Constant(level), ast.Constant(str(name)), fields]):
                    keys = (key for part in ast.walk(fields) if isinstance(part, ast.Dict) for key in part.keys)
                    own = {str(key.value) for key in keys if isinstance(key, ast.Constant)}
                    found.setdefault(name, set()).update({str(level), *own})
    return found


def test_every_event_of_the_log_is_in_its_page_with_its_fields_and_no_other_is() -> None:
    page = (ROOT / "docs/explanation/what-is-logged.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \| (.*?) \| (.+) \|$", page, flags=re.MULTILINE)
    told = {name: {level, *re.findall(r"`(\w+)`", named)} for name, level, named, _ in rows}
    assert {"task.accepted", "uncaught", "loop.unhandled", "request"} <= logged().keys()
    assert told == logged()


def test_what_the_runbook_greps_for_is_logged() -> None:
    words = {w for words in re.findall(r"grep -E '([a-z_.|]+)' \$LOG", RUNBOOK) for w in words.split("|")}
    words |= {w for w in re.findall(r"`([a-z_]+\.[a-z_]+)`", RUNBOOK) if not w.endswith((".md", ".yml", ".json"))}
    assert len(words) > 20
    assert words <= logged().keys()


def test_settings_routes_codes_and_commands_of_the_runbook_are_real() -> None:
    known = (ROOT / "docs/reference/settings.md").read_text()
    for variable in set(re.findall(r"\b(?:AGENTCORE|OPENAI|ANTHROPIC)_\w+", RUNBOOK)):
        assert f"`{variable}`" in known, variable
    paths = set(re.findall(r"\$URL(/\w+)", RUNBOOK)) | set(re.findall(r"`POST ([^`]+)`", RUNBOOK))
    routes = {re.sub(r"\{\w+\}", "{}", path) for _, path in ROWS}
    assert {re.sub(r"\{\w+\}", "{}", path.removeprefix(API)) for path in paths} <= routes
    figures_ = {name for name, *_ in table()}
    for name in set(re.findall(r"`(agentcore_[a-z_]+)`", RUNBOOK)) - {"agentcore_worker"}:
        assert name in figures_, name
    for command in re.findall(r"(?:^|`)agentcore ((?:doctor|migrate|limits)[^`\n]*)", RUNBOOK, flags=re.MULTILINE):
        _parser().parse_args(command.split())


def test_the_queries_of_the_runbook_run(postgres: Server) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", RUNBOOK, flags=re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        with psycopg.connect(postgres.fresh()[1], autocommit=True) as connection:
            connection.execute(block.encode())
