"""What is stored against what clients were told, what the provider served, and what the books' consumer has counted.

Law: the store is read by the checker that judges every other run; each figure of the table is a count of tasks or
events, and a run is good if all that should be nothing is nothing.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import psycopg
from attrs import define, field
from tests.faults.clients import Facts, Reader
from tests.faults.site import Site
from tests.support.consumer import Consumer

from agentcore.follow import Entry
from agentcore.ids import SessionId, TenantId
from agentcore.ports import Store
from agentcore.task import Task, TaskEnd, TaskParked, TaskRequeued, TaskStarted, TaskStatus
from agentcore.testing.checker import EVERYTHING, check_session
from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.store import postgres_store
from agentcore_adapters.testing.provider import StubProvider

TENANT = TenantId("default")
MARK = re.compile(r"#\d{5}")
SETTLE_S = 90.0
TWICE = """
    SELECT count(*) - count(DISTINCT (task_id, call_key)) + count(provider_message_id)
           - count(DISTINCT (task_id, provider_message_id)) FILTER (WHERE provider_message_id IS NOT NULL)
    FROM usage_record"""


@define
class Verdict:
    """What a run came to."""

    accepted: int = 0
    completed: int = 0
    cancelled: int = 0
    failed: int = 0
    lost: int = 0  #: Accepted tasks that are not there, or not over.
    doubled: int = 0  #: Prompts that became two tasks, calls that stand twice in the ledger, events in the books.
    gaps: int = 0  #: Readers whose text or events differ from the log.
    unbilled: int = 0  #: Calls that the provider served and the ledger does not have.
    unsent: int = 0  #: Rows of the ledger whose call was announced and cut off before it was sent.
    untold: int = 0  #: Rows of the ledger that the consumer has not counted, or counted and not there.
    undone: int = 0  #: Stops and ends that clients were told of and that are not so.
    resets: int = 0
    cuts: int = 0
    recovered_s: list[float] = field(factory=list)  #: From a fault to the step that took a task over.
    broken: list[str] = field(factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was broken."""
        return not (
            self.lost or self.doubled or self.gaps or self.unbilled or self.untold or self.undone or self.broken
        )


@define(eq=False)
class Books:
    """What the database itself says: ledger and messages, by task."""

    rows: Counter[str]
    twice: int
    texts: Mapping[str, str]


@asynccontextmanager
async def opened(site: Site) -> AsyncIterator[tuple[Store, str]]:
    """Open the site's store, beside its servers; with the owner's address."""
    async with AsyncExitStack() as stack:
        if site.database is None:
            server = await stack.enter_async_context(embedded_server(site.folder / "data"))
            service, owner = server.dsn, server.dsn_owner
        else:
            service, owner = site.database
        store, _ = await stack.enter_async_context(postgres_store(service))
        yield store, owner


async def settled(store: Store, sessions: Iterable[str]) -> None:
    """Wait until every task has ended and every event was taken."""
    from agentcore.books import DeliveryState

    with anyio.fail_after(SETTLE_S):
        for session in sessions:
            while not all(v.task.is_final for v in await store.tasks(TENANT, SessionId(session), 0, EVERYTHING)):
                await anyio.sleep(0.1)
        while await store.deliveries(TENANT, DeliveryState.PENDING, 1):
            await anyio.sleep(0.1)


async def judge(site: Site, facts: Facts, provider: StubProvider | None, consumer: Consumer | None) -> Verdict:
    """Judge a run whose faults are over."""
    verdict = Verdict(accepted=len(facts.accepted))
    sessions = sorted(set(facts.sessions.values()))
    async with opened(site) as (store, owner):
        await settled(store, sessions)
        await _readers_caught_up(store, facts.readers)
        books = _books(owner)
        tasks: dict[str, Task] = {}
        for session in sessions:
            try:
                await check_session(store, TENANT, SessionId(session), is_settled=True)
            except AssertionError as error:
                verdict.broken.append(f"{session}: {error}")
            log = (await store.log(TENANT, SessionId(session), 1, EVERYTHING)).entries
            for view in await store.tasks(TENANT, SessionId(session), 0, EVERYTHING):
                tasks[view.task.id] = view.task
                verdict.recovered_s += _recoveries(site, [entry for entry in log if entry.task_id == view.task.id])
            for reader in facts.readers:
                if reader.session_id == session:
                    _check_reader(verdict, reader, log, books)
    _check_tasks(verdict, facts, tasks)
    _check_bills(verdict, facts, tasks, books, provider, consumer)
    return verdict


async def _readers_caught_up(store: Store, readers: Iterable[Reader]) -> None:
    """Wait until each reader stands at the head of its log."""
    with anyio.fail_after(SETTLE_S):
        for reader in readers:
            head = (await store.log(TENANT, SessionId(reader.session_id), 1, 1)).head
            while int(reader.cursor.partition(".")[0]) < head:
                await anyio.sleep(0.05)


def _check_tasks(verdict: Verdict, facts: Facts, tasks: Mapping[str, Task]) -> None:
    marks = Counter(mark for task in tasks.values() for mark in MARK.findall(str(task.prompt)))
    verdict.doubled += sum(number - 1 for number in marks.values())
    for task_id in facts.accepted:
        task = tasks.get(task_id)
        verdict.lost += task is None or not task.is_final
    ends = Counter(tasks[task_id].status for task_id in facts.accepted if task_id in tasks)
    verdict.completed, verdict.cancelled = ends[TaskStatus.COMPLETED], ends[TaskStatus.CANCELLED]
    verdict.failed = ends[TaskStatus.FAILED]
    for task_id in facts.stopped:
        verdict.undone += tasks[task_id].status is not TaskStatus.CANCELLED
    told = {"completed": TaskStatus.COMPLETED, "error": TaskStatus.FAILED, "cancelled": TaskStatus.CANCELLED}
    for reader in facts.readers:
        for task_id, seen in reader.tasks.items():
            verdict.undone += seen.end is not None and told[seen.end] is not tasks[task_id].status


def _check_reader(verdict: Verdict, reader: Reader, log: tuple[Entry, ...], books: Books) -> None:
    verdict.resets += len(reader.resets)
    verdict.cuts += reader.cuts
    skipped = max(reader.reset_heads, default=0)
    missing = [entry.seq for entry in log if entry.seq not in reader.seqs and entry.seq > skipped and _is_shown(entry)]
    if missing:
        verdict.gaps += 1
        verdict.broken.append(f"I4: a reader of {reader.session_id} has not seen {missing[:5]}")
    for task_id, seen in reader.tasks.items():
        stored = books.texts.get(task_id, "")
        is_equal = stored.endswith(seen.since + seen.text) if seen.since is not None else stored == seen.text
        if not is_equal:
            verdict.gaps += 1
            verdict.broken.append(f"I5: {task_id}: shown {len(seen.text)}, stored {len(stored)}, {reader.resets}")
        if seen.after_end:
            verdict.broken.append(f"I3: {task_id}: {seen.after_end} frames after its end")


def _is_shown(entry: Entry) -> bool:
    """Text may have been shown live, and then its entry is not shown again."""
    return type(entry.event).__name__ != "TextSaid"


def _check_bills(
    verdict: Verdict,
    facts: Facts,
    tasks: Mapping[str, Task],
    books: Books,
    provider: StubProvider | None,
    consumer: Consumer | None,
) -> None:
    verdict.doubled += books.twice
    if provider is not None:
        by_mark = {mark: task_id for task_id, task in tasks.items() for mark in MARK.findall(str(task.prompt))}
        served = Counter(by_mark.get(call.mark, call.mark) for call in served_calls(provider))
        for task_id in tasks:
            verdict.unbilled += max(0, served[task_id] - books.rows[task_id])
            verdict.unsent += max(0, books.rows[task_id] - served[task_id])
    if consumer is not None:
        counted = Counter(event["data"]["taskId"] for event in consumer.counted.values())
        verdict.untold += sum(abs(counted[task_id] - books.rows[task_id]) for task_id in tasks)


@define
class Served:
    """A call that the provider answered, and the mark of the prompt that it was made for."""

    mark: str


def served_calls(provider: StubProvider) -> list[Served]:
    """Return the calls that a provider would bill: those it has not refused."""
    found = []
    for call in provider.calls:
        if call.path.partition("?")[0].endswith("/messages") and not call.refused:
            asked = [str(m.get("content")) for m in call.body.get("messages", []) if m.get("role") == "user"]
            found.append(Served(MARK.findall(" ".join(asked))[-1]))
    return found


def _recoveries(site: Site, log: list[Entry]) -> list[float]:
    """Return how long a task that was driven when its server was killed has waited for the step that took it over."""
    found: list[float] = []
    driven_since: float | None = None
    for entry in log:
        at = entry.at.timestamp()
        if isinstance(entry.event, TaskStarted):
            driven_since = at
        elif isinstance(entry.event, TaskParked | TaskRequeued | TaskEnd) and driven_since is not None:
            hits = [f for f in site.faults if f.kind == "kill -9" and driven_since < f.at < at]
            if hits and (isinstance(entry.event, TaskEnd | TaskRequeued)):
                found.append(at - max(hit.until for hit in hits))
            driven_since = None
    return found


def _books(owner: str) -> Books:
    with psycopg.connect(owner, options="-c search_path=agentcore") as connection:
        counted = connection.execute("SELECT task_id::text, count(*) FROM usage_record GROUP BY 1").fetchall()
        again = connection.execute(TWICE).fetchone()
        said = connection.execute(
            "SELECT m.task_id::text, string_agg(p->>'text', '' ORDER BY m.seq, m.n, i) FROM message m, "
            "jsonb_array_elements(m.parts) WITH ORDINALITY AS x (p, i) "
            "WHERE m.role = 'assistant' AND p->>'type' = 'text_part' GROUP BY 1"
        ).fetchall()
    return Books(Counter(dict(counted)), int(again[0]) if again else 0, dict(said))
