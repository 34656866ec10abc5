"""What is another tenant's, or another person's, is answered like what does not exist (T9, SEC07): every route, every
command, every kind of id, taken from the application's own document so that a new route is covered when it is made.
"""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import msgspec
import pytest
from attrs import define, evolve
from structlog.testing import capture_logs
from tests.support.bridge import RemoteServed
from tests.support.crawl import Operation, Slot, choices, filled, operations, plain, plain_text
from tests.support.people import APPROVER, EVERYTHING, roles_by_header, someone
from tests.support.pictures import png
from tests.support.rows import rows_of
from tests.support.server import Json, Served, receive

from agentcore.speech import Speech
from agentcore.testing.making import an_id

pytestmark = pytest.mark.anyio
CANARY = "canary-of-ann"
PNG = {"base64Data": base64.b64encode(png(1, 1) + b"canary").decode(), "mediaType": "image/png"}
MALFORMED = "no-id"
Ids = Mapping[str, str]


@define(eq=False)
class Listener:
    """Always hears the same."""

    name: str = "listener"

    async def transcribe(self, recording: Path, language: str | None) -> Speech:
        return Speech(
            text=f"heard {recording.stat().st_size}", language=language, seconds=1.0, no_speech=0.0, model="w"
        )

    async def close(self) -> None:
        """Has started nothing."""


@define
class World:
    """One person's things."""

    served: Served
    ids: dict[str, str]


async def a_world(remote: RemoteServed, who: Served) -> World:
    """Let somebody have one of each: what is over, what waits for a decision, what a remote agent has answered."""
    theirs = evolve(remote, served=who)
    name = who.headers["X-User-Id"]
    over = await who.done(f"canary-of-{name} [[say:canary-of-{name}]]", attachments=[PNG])
    await who.call("PATCH", f"/sessions/{over['sessionId']}", {"title": f"canary-of-{name}"})
    theirs.instance = (await theirs.add(name=f"canary-of-{name}"))["id"]
    await theirs.done("hello", result=f"canary-of-{name}")
    asked = await who.call(
        "POST", "/tasks", {"prompt": '[[ask:rm:{"path": "/"}]] [[hang]]'}, Idempotency_Key=f"key-{name}"
    )
    waiting = await who.until(asked.json()["taskId"], {"awaiting_approval"})
    overseer = someone(who, "boss", EVERYTHING, who.headers["X-Tenant-Id"])
    events = await overseer.get("/usage/events")
    ids = {
        "session": waiting["sessionId"],
        "task": waiting["id"],
        "approval": waiting["pendingApprovals"][0]["approvalId"],
        "instance": theirs.instance,
        "event": next(item["eventId"] for item in events["items"] if item["taskId"] == over["id"]),
        "subject": name,
        "over": over["id"],
        "over session": over["sessionId"],
    }
    return World(who, ids)


@define
class Meeting:
    """Ann, whose things they are, and somebody who tries to get at them."""

    ann: World
    other: World
    before: set[str]  #: All that there is of Ann's.
    rows: Callable[[], set[str]]
    is_in_tenant: bool

    def must_be_untouched(self) -> None:
        """See that nothing of Ann's has changed; in her tenant the other may have come to things of its own."""
        after = self.rows()
        assert self.before - after == set()
        assert self.is_in_tenant or after == self.before

    def must_say_nothing_of(self, text: str, *, but: tuple[str, ...] = ()) -> None:
        """See that *text* names nothing of Ann's."""
        for name in (*self.ann.ids.values(), CANARY):
            assert name in but or name not in text or name == "ann"


@pytest.fixture(params=["another tenant", "another owner"])
async def meeting(
    request: pytest.FixtureRequest, remote: RemoteServed, database: str | None, monkeypatch: pytest.MonkeyPatch
) -> Meeting:
    roles_by_header(monkeypatch)
    runtime = remote.served.runtime
    runtime.voice = evolve(runtime.voice, transcriber=Listener())
    is_in_tenant = request.param == "another owner"
    ann = someone(remote.served, "ann", APPROVER)
    bob = someone(remote.served, "bob", APPROVER) if is_in_tenant else someone(ann, "bob", EVERYTHING, "rival")

    def rows() -> set[str]:
        return rows_of(runtime.store, database, "acme")

    mine = await a_world(remote, ann)
    before = rows()
    return Meeting(mine, await a_world(remote, bob), before, rows, is_in_tenant)


def may_be_malformed(operation: Operation, chosen: Mapping[Slot, str | None]) -> bool:
    """Tell whether an id that cannot be one is one that does not exist, and not a mistake in a body."""
    tried = [slot for slot, own in chosen.items() if own is None]
    return all(slot.where == "path" or slot.kind == "session" for slot in tried) and "callback" not in operation.path


async def test_SEC07_every_route_answers_as_for_a_random_id(meeting: Meeting) -> None:
    bob = meeting.other
    tried: set[str] = set()
    with capture_logs() as logs:
        for operation in await operations(bob.served):
            if not operation.slots and operation.headers:
                continue
            if not operation.slots:
                meeting.must_say_nothing_of((await operation.ask(bob.served, {})).text)
            for chosen in choices(operation.slots, lambda slot: bob.ids[slot.kind]):
                foreign = await operation.ask(bob.served, filled(chosen, lambda slot: meeting.ann.ids[slot.kind]))
                random = await operation.ask(bob.served, filled(chosen, lambda _: an_id()))
                about = (operation.name, [slot.name for slot, own in chosen.items() if own is None])
                said = plain(foreign)
                assert said == plain(random), about
                assert said[0] not in {500, 503}, about
                if may_be_malformed(operation, chosen):
                    malformed = await operation.ask(bob.served, filled(chosen, lambda _: MALFORMED))
                    assert said == plain(malformed), about
                tried.add(operation.name)
    meeting.must_be_untouched()
    meeting.must_say_nothing_of(str(logs))
    assert len(tried) >= 25


async def test_SEC07_every_command_answers_as_for_a_random_id(meeting: Meeting) -> None:
    bob = meeting.other

    async def told(frame: Json) -> Json:
        mine = await bob.served.done("[[say:x]]")
        async with bob.served.socket(mine["sessionId"], "latest") as socket:
            await socket.send(msgspec.json.encode(frame | {"id": "1"}).decode())
            with anyio.fail_after(10):
                while (answer := await receive(socket)).get("id") != "1":
                    pass
        return answer

    refused = await told({"type": "?"})
    commands = refused["detail"].removeprefix("type must be one of ").removesuffix(".").split(", ")
    assert {"prompt", "cancel", "inject", "approve", "ping"} <= set(commands)
    for command in commands:
        frame = {"type": command, "prompt": "x", "message": "x", "approved": True}
        answers = [
            plain_text(str(await told(frame | {"taskId": task, "sessionId": session, "approvalId": approval})))
            for task, session, approval in (
                (meeting.ann.ids["task"], meeting.ann.ids["session"], meeting.ann.ids["approval"]),
                (an_id(), an_id(), an_id()),
                (MALFORMED, MALFORMED, MALFORMED),
            )
        ]
        assert answers[0] == answers[1] == answers[2], command
    meeting.must_be_untouched()


async def test_T12_foreign_subscribe_refused(meeting: Meeting) -> None:
    """On all three transports, and whatever cursor is brought along."""
    bob = meeting.other.served
    head = (await meeting.ann.served.log(meeting.ann.ids["session"]))[-1]["cursor"]
    refusals = []
    for session in (meeting.ann.ids["session"], an_id(), MALFORMED):
        seen: list[object] = []
        for after in (None, "latest", "0", head):
            async with bob.socket(session, after) as socket:
                with anyio.fail_after(10):
                    await socket.wait_closed()
                seen.append((socket.close_code, socket.close_reason))
            for accept in ("application/json", "text/event-stream"):
                query = f"?after={after}" if after else ""
                response = await bob.call("GET", f"/sessions/{session}/events{query}", accept=accept)
                seen.append(plain(response))
        refusals.append(seen)
    assert refusals[0] == refusals[1] == refusals[2]
    assert refusals[0][0] == (4404, "session_not_found")
    meeting.must_be_untouched()


async def test_S19_what_is_anothers_becomes_a_new_session(meeting: Meeting) -> None:
    """Of the caller's own, and it says so; a remote agent's prompt and what was spoken, too."""
    bob = meeting.other
    made: list[Json] = [await bob.served.post("mine", meeting.ann.ids["session"])]
    path = f"/instances/{bob.ids['instance']}/tasks"
    body = {"prompt": "mine", "sessionId": meeting.ann.ids["session"]}
    made.append((await bob.served.call("POST", path, body)).json())
    files = {"audio": ("a.webm", b"sound", "audio/webm")}
    address = f"{bob.served.url}/api/v1/agent/sessions/{meeting.ann.ids['session']}/voice-message"
    made.append((await bob.served.http.post(address, files=files, headers=bob.served.headers)).json())
    mine = [item["id"] for item in (await bob.served.get("/sessions?limit=200"))["items"]]
    for answer in made:
        assert answer["sessionCreated"] is True
        assert answer["sessionId"] in mine
        hidden = await meeting.ann.served.call("GET", f"/sessions/{answer['sessionId']}")
        assert hidden.status_code == 404
    meeting.must_be_untouched()


async def test_T10_lists_are_ones_own(meeting: Meeting) -> None:
    for path in ("/sessions?limit=200", "/instances", f"/instances/{meeting.other.ids['instance']}/sessions"):
        meeting.must_say_nothing_of((await meeting.other.served.call("GET", path)).text)
    mine = [item["id"] for item in (await meeting.ann.served.get("/sessions?limit=200"))["items"]]
    assert {meeting.ann.ids["session"], meeting.ann.ids["over session"]} < set(mine)
    assert not set(mine) & set(meeting.other.ids.values())
