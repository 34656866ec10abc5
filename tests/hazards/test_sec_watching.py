"""Hazards C6 and E10, SEC24 to SEC26: what is logged, traced, counted and answered, and what never is.

A real server with a canary in every secret and in everything that is content, used in all the ways there are, its
provider, its bridge and its database failing.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.database import Server
from tests.support.watched import CANARY, TENANT, TRACE, Evidence, needles, watched

PRIVATE = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
KINDS = {
    "application/json",
    "application/problem+json",
    "application/vnd.oai.openapi+json",
    "application/x-ndjson",
    "text/event-stream",
    "text/plain",
    "",
}


@pytest.fixture(scope="module", params=["memory", "postgres"])
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    database = None
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        database = server.fresh()
    folder: Path = tmp_path_factory.mktemp("watched")
    with watched(folder, database) as found:
        yield found


def test_C6_no_content_in_logs_of_a_whole_server(evidence: Evidence) -> None:
    assert CANARY not in evidence.logs.lower()
    assert CANARY not in evidence.out.lower()


def test_C6_every_line_of_the_log_is_one_record(evidence: Evidence) -> None:
    assert evidence.logs.isascii()
    events = {line["event"] for line in evidence.lines}
    assert {"request", "engine.failed", "task.accepted", "request.failed"} & events >= {"request", "engine.failed"}
    assert all({"timestamp", "level", "event"} <= set(line) for line in evidence.lines)
    requests = [line for line in evidence.lines if line["event"] == "request"]
    assert {line["route"] for line in requests} >= {"/healthz", "none", "/api/v1/agent/tasks/{task_id}"}
    assert {line.get("tenant") for line in requests} >= {TENANT, None}
    assert len({line["request_id"] for line in requests}) == len(requests)
    failed = next(line for line in evidence.lines if line["event"] == "engine.failed")
    assert "request_id" not in failed  # it is the task's, whoever asked for it


def test_SEC24_no_secret_is_shown_to_anybody(evidence: Evidence) -> None:
    told = evidence.logs + evidence.out + evidence.metrics + "".join(evidence.sockets)
    told += "".join(answer.text + str(answer.headers) for answer in evidence.answers)
    traced = b"".join(evidence.traces).decode("latin-1")
    for needle in needles():
        assert needle not in told
        assert needle not in traced


def test_SEC25_no_content_in_traces_and_figures(evidence: Evidence) -> None:
    traced = b"".join(evidence.traces)
    assert b"invoke_agent claude_api" in traced
    assert b"execute_tool t.note" in traced
    assert bytes.fromhex(TRACE) in traced  # the trace that the request's header named goes on
    assert CANARY.encode() not in traced.lower()
    assert b"example.org" not in traced
    assert CANARY not in evidence.metrics.lower()


def test_SEC05_who_asks_is_in_no_line(evidence: Evidence) -> None:
    """Of the caller's claims only the tenant is logged: no user, no e-mail, no token."""
    traced = b"".join(evidence.traces).decode("latin-1")
    for said in (evidence.logs, evidence.metrics, traced):
        assert not [claim for claim in (f"{CANARY}-user", "example.org", "Bearer", "of-somebody") if claim in said]


def test_E10_no_internals_in_problems(evidence: Evidence) -> None:
    problems = evidence.problems()
    refused = [answer for answer in evidence.answers if answer.status_code >= 400 and answer.url.path != "/readyz"]
    assert len(problems) == len(refused)
    assert {problem["status"] for problem in problems} >= {400, 401, 403, 404, 405, 415}
    for problem in problems:
        shown = " ".join(str(value) for name, value in problem.items() if name != "instance")  # which the client said
        assert not [inner for inner in (*evidence.inner, "stub secret detail", CANARY) if inner in shown], problem
    tasks = [
        answer.json()
        for answer in evidence.answers
        if "error" in answer.text and re.search(r"/tasks/[-\w]+$", answer.url.path)
    ]
    failed = [task["error"] for task in tasks if task.get("error")]
    assert {error["code"] for error in failed} >= {"ENGINE_AUTH", "ENGINE_EOF", "CONTEXT_TOO_LARGE"}
    for error in failed:
        assert not [inner for inner in (*evidence.inner, "stub secret detail") if inner in error["message"]], error


def test_SEC26_every_answer_has_its_headers(evidence: Evidence) -> None:
    assert len(evidence.answers) > 100
    answers = [*evidence.answers, *evidence.streams]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    for answer in answers:
        assert {name: answer.headers.get(name) for name in PRIVATE} == PRIVATE, answer.url
        kind = answer.headers.get("content-type", "").partition(";")[0]
        assert kind in KINDS, answer.url
        assert kind != "text/plain" or answer.url.path == "/metrics"
        assert kind or not answer.content
    assert [answer.headers["content-type"].partition(";")[0] for answer in evidence.streams] == ["text/event-stream"]


def test_SEC26_probes_and_figures_hold_no_tenant(evidence: Evidence) -> None:
    assert evidence.probes == '{"status":"ok"}{"ready":true,"reasons":[],"degraded":["bus_unavailable"]}'
    assert TENANT not in evidence.metrics
    assert 'agentcore_tasks_total{code="ENGINE_AUTH",engine="claude_api",status="failed"} 1.0' in evidence.metrics
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", evidence.metrics)  # nor an id
