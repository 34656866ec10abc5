"""Characters that no store can hold, where an address names something."""

import pytest
from tests.support.server import Served

pytestmark = pytest.mark.anyio
ODD = ["%00", "a%00b", "%ED%A0%80", "%FF", "%F0%9F%98%80", "x" * 3000, "..%2f..", "%0d%0aX-A:b", "null"]
PLACES = [
    ("GET", "/tasks/{}"),
    ("DELETE", "/tasks/{}?wait=0"),
    ("GET", "/sessions/{}"),
    ("GET", "/sessions/{}/messages"),
    ("GET", "/sessions/{}/events"),
    ("GET", "/instances/{}"),
    ("DELETE", "/instances/{}"),
    ("GET", "/instances/{}/secret"),
    ("POST", "/usage/events/{}/redeliver"),
]
QUERIES = [
    "/sessions?cursor={}",
    "/sessions?limit={}",
    "/usage?from={}",
    "/usage?groupBy={}",
    "/usage/events?state={}",
    "/usage/events?limit={}",
    "/instances?limit={}",
]


@pytest.mark.parametrize(("method", "path"), PLACES)
async def test_what_no_id_can_be_is_not_there(served: Served, method: str, path: str) -> None:
    for odd in ODD:
        answer = await served.call(method, path.format(odd), {} if method == "POST" else None)
        assert answer.status_code in {404, 405}, (odd, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", QUERIES)
async def test_what_no_parameter_can_be_is_refused(served: Served, path: str) -> None:
    for odd in ODD:
        answer = await served.call("GET", path.format(odd))
        assert answer.status_code == 400, (odd, answer.text)
        assert answer.json()["code"] == "invalid_request"


@pytest.mark.parametrize("wait", ["nan", "inf", "-inf", "-1", "1e309", "61", "1e400", "0x1", ""])
async def test_a_wait_without_an_end_is_refused(served: Served, wait: str) -> None:
    task = await served.done("[[say:x]]")
    for method, path in (("GET", f"/sessions/{task['sessionId']}/events"), ("DELETE", f"/tasks/{task['id']}")):
        answer = await served.call(method, f"{path}?wait={wait}")
        assert answer.status_code == 400, answer.text
