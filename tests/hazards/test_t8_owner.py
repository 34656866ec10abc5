"""Sessions have an owner, and actions need a role (T8, SEC08): 403 for a role, 404 for what is another's."""

from collections.abc import AsyncIterator, Mapping

import anyio
import httpx2
import pytest
from attrs import frozen
from tests.support.people import (
    APPROVER,
    DECIDING_OPERATOR,
    EVERYTHING,
    MEMBER,
    OPERATOR,
    VIEWER,
    roles_by_header,
    someone,
)
from tests.support.server import Json, Served, serving

from agentcore.caller import Role
from agentcore.policy import Policy
from agentcore.ports import Leases, Store
from agentcore.testing.making import an_id

pytestmark = pytest.mark.anyio
LOOK, ACT, DECIDE = "look", "act", "decide"
ADMIN = (*DECIDING_OPERATOR, Role.ADMIN)


@frozen
class Action:
    """Something that is done to somebody's session."""

    kind: str
    method: str
    path: str
    body: object = None
    good: int = 200


ACTIONS: Mapping[str, Action] = {
    "show a session": Action(LOOK, "GET", "/sessions/{session}"),
    "read it": Action(LOOK, "GET", "/sessions/{session}/messages"),
    "read its log": Action(LOOK, "GET", "/sessions/{session}/events"),
    "take it away": Action(LOOK, "GET", "/sessions/{session}/export"),
    "list its tasks": Action(LOOK, "GET", "/sessions/{session}/tasks"),
    "show a task": Action(LOOK, "GET", "/tasks/{task}"),
    "rename": Action(ACT, "PATCH", "/sessions/{session}", {"title": "x"}),
    "ask for consent": Action(
        ACT, "POST", "/sessions/{session}/oauth-trigger", {"provider": "p", "url": "https://x.example"}, 201
    ),
    "inject": Action(ACT, "POST", "/tasks/{task}/inject", {"message": "x"}, 201),
    "cancel": Action(ACT, "DELETE", "/tasks/{task}"),
    "close": Action(ACT, "DELETE", "/sessions/{session}"),
    "erase": Action(ACT, "DELETE", "/sessions/{session}?erase=true"),
    "approve": Action(DECIDE, "POST", "/tasks/{task}/approve", {"approved": True}, 201),
}
PEOPLE: Mapping[str, tuple[Role, ...]] = {
    "nobody": (),
    "viewer": VIEWER,
    "member": MEMBER,
    "approver": APPROVER,
    "operator": OPERATOR,
    "deciding operator": DECIDING_OPERATOR,
    "admin": ADMIN,
}
NEEDED = {LOOK: Role.VIEWER, ACT: Role.MEMBER, DECIDE: Role.APPROVER}


@pytest.fixture(autouse=True)
def roles(monkeypatch: pytest.MonkeyPatch) -> None:
    roles_by_header(monkeypatch)


async def waiting(ann: Served) -> dict[str, str]:
    """Make a task that waits for a decision."""
    posted = await ann.post('[[ask:rm:{"path": "/"}]]')
    task = await ann.until(posted["taskId"], {"awaiting_approval"})
    return {"session": task["sessionId"], "task": task["id"]}


def told(response: httpx2.Response) -> Json:
    body: Json = response.json()
    return {**body, "instance": ""}


@pytest.mark.parametrize("person", PEOPLE)
async def test_T8_owner_or_role(served: Served, person: str) -> None:
    granted = PEOPLE[person]
    ann = someone(served, "ann", APPROVER)
    ids: dict[str, str] = {}
    for name, action in ACTIONS.items():
        for subject in ("ann", "bob"):
            who, ids = someone(served, subject, granted), ids or await waiting(ann)
            before = await ann.log(ids["session"])
            response = await who.call(action.method, action.path.format(**ids), action.body)
            if NEEDED[action.kind] not in granted:
                assert (response.status_code, response.json()["code"]) == (403, "role_required"), (name, subject)
            elif subject == "bob" and not {Role.OPERATOR, Role.ADMIN} & set(granted):
                missing = {"session": an_id(), "task": an_id()}
                expected = await who.call(action.method, action.path.format(**missing), action.body)
                assert response.status_code == expected.status_code == 404, (name, subject)
                assert told(response) == told(expected)
            else:
                assert response.status_code == action.good, (name, subject, response.text)
                ids = ids if action.kind == LOOK else {}  # what was acted on is not as it was
                continue
            assert await ann.log(ids["session"]) == before


async def test_T8_prompts_and_streams(served: Served) -> None:
    """A prompt into another's session opens one's own; an operator's goes where it was sent."""
    ann, bob, boss = someone(served, "ann"), someone(served, "bob"), someone(served, "boss", OPERATOR)
    session = (await ann.done("[[say:x]]"))["sessionId"]
    apart = await bob.post("[[say:y]]", session)
    assert (apart["sessionCreated"], apart["sessionId"] == session) == (True, False)
    there = await boss.post("[[say:z]]", session)
    assert (there["sessionCreated"], there["sessionId"]) == (False, session)
    await boss.ended(there["taskId"])
    assert (await ann.task(there["taskId"]))["status"] == "completed"
    refused = await someone(served, "ann", VIEWER).call("POST", "/tasks", {"prompt": "x", "sessionId": session})
    assert refused.status_code == 403
    async with boss.socket(session) as socket:
        await socket.recv()
    async with bob.socket(session) as socket:
        with anyio.fail_after(5):
            await socket.wait_closed()
        assert socket.close_code == 4404


async def test_T8_lists_are_ones_own_unless_an_operator_asks(served: Served) -> None:
    ann, bob, boss = someone(served, "ann"), someone(served, "bob"), someone(served, "boss", OPERATOR)
    theirs = {(await ann.done("[[say:x]]"))["sessionId"] for _ in range(3)}
    his = {(await bob.done("[[say:x]]"))["sessionId"] for _ in range(2)}

    async def listed(who: Served, query: str = "") -> list[str]:
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await who.get(f"/sessions?limit=2{query}" + (f"&cursor={cursor}" if cursor else ""))
            found += [item["id"] for item in page["items"]]
            cursor = page["nextCursor"]
        assert len(found) == len(set(found))
        return found

    assert set(await listed(ann)) == set(await listed(ann, "&owner=ann")) == theirs
    assert set(await listed(boss)) == set(await listed(boss, "&owner=nobody")) == set()
    assert set(await listed(boss, "&owner=bob")) == his
    assert set(await listed(boss, "&all=true")) == theirs | his
    for query in ("?owner=bob", "?all=true", "?owner=nobody"):
        assert (await ann.call("GET", f"/sessions{query}")).status_code == 403
    assert (await boss.call("GET", "/sessions?all=true&owner=ann")).status_code == 400
    assert set(await listed(someone(served, "x", ADMIN, "rival"), "&all=true")) == set()


async def test_SEC08_numbers_of_the_tenant_are_the_operators(served: Served) -> None:
    await someone(served, "ann").done("[[say:x]]")
    for path in ("/usage", "/usage/events"):
        for granted, status in ((VIEWER, 403), (APPROVER, 403), (OPERATOR, 200), (ADMIN, 200)):
            assert (await someone(served, "x", granted).call("GET", path)).status_code == status


async def test_SEC08_who_chooses_ids_or_owners_of_agents_is_an_admin(served: Served) -> None:
    """Who could choose the id of an agent would learn from the refusal which ids there are."""
    for body in ({"id": an_id()}, {"userId": "somebody"}):
        assert (await someone(served, "x", OPERATOR).call("POST", "/instances", body)).status_code == 403
        assert (await someone(served, "x", EVERYTHING).call("POST", "/instances", body)).status_code == 201
    assert (await someone(served, "x").call("POST", "/instances", {"userId": "x"})).status_code == 201


@pytest.fixture
async def strict(stores: tuple[Store, Leases]) -> AsyncIterator[Served]:
    async with serving(*stores, policy=Policy(four_eyes=True)) as found:
        yield found


async def test_SEC08_who_asked_does_not_decide(strict: Served) -> None:
    """Under ``four_eyes``; somebody else does, who may see the session: an approver who is operator, too."""
    ann = someone(strict, "ann", EVERYTHING)
    for approved in (True, False):
        ids = await waiting(ann)
        body = {"approved": approved}
        refused = await ann.call("POST", f"/tasks/{ids['task']}/approve", body)
        assert (refused.status_code, refused.json()["code"]) == (403, "four_eyes_required")
        assert (await ann.task(ids["task"]))["status"] == "awaiting_approval"
        unseen = await someone(strict, "bob", APPROVER).call("POST", f"/tasks/{ids['task']}/approve", body)
        assert unseen.status_code == 404
        done = await someone(strict, "boss", DECIDING_OPERATOR).call("POST", f"/tasks/{ids['task']}/approve", body)
        assert done.status_code == 201


async def test_SEC08_who_asked_is_whoever_sent_the_prompt(strict: Served) -> None:
    """Not the session's owner, and not who asked for the task that it has stopped."""
    ann, boss = someone(strict, "ann", APPROVER), someone(strict, "boss", DECIDING_OPERATOR)
    ids = await waiting(ann)
    injected = await boss.call("POST", f"/tasks/{ids['task']}/inject", {"message": '[[ask:rm:{"path": "/"}]]'})
    task = await boss.until(injected.json()["taskId"], {"awaiting_approval"})
    decision = f"/tasks/{task['id']}/approve"
    assert (await boss.call("POST", decision, {"approved": True})).json()["code"] == "four_eyes_required"
    assert (await ann.call("POST", decision, {"approved": True})).status_code == 201


async def test_SEC08_a_stream_is_no_way_around(strict: Served) -> None:
    ann = someone(strict, "ann", EVERYTHING)
    ids = await waiting(ann)
    async with ann.socket(ids["session"], "latest") as socket:
        await socket.send(f'{{"type": "approve", "id": "1", "taskId": "{ids["task"]}", "approved": true}}')
        with anyio.fail_after(5):
            while '"problem"' not in (frame := str(await socket.recv())):
                pass
    assert "four_eyes_required" in frame
