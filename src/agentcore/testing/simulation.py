"""Three nodes, some clients and bad weather, in one process and on virtual time: one seed, one run.

    report = simulate(17, my_world)

``my_world`` is an async context manager that makes an empty store with its leases on a given clock; it must keep
everything in memory, because nothing real can be waited for.  A run that breaks a promise raises AssertionError; the
same seed takes the same steps.

Story: while the weather lasts, clients submit, stop, decide, read and go away at any moment, nodes die in the middle
of any call and others take their place.  Then it clears up; only the bus stays nearly as bad as it was, which may cost
time and nothing else.  Everything must come to its end, and be shown to who stays, in time; and the judge compares what
callers were told, what readers saw, and what the engine did with what is stored.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from random import Random
from typing import cast

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import define, evolve, field, fields, frozen

from agentcore.books import UsageRecorded
from agentcore.bus import Bus
from agentcore.caller import Caller
from agentcore.house import Counts
from agentcore.ids import NodeId
from agentcore.node import open_runtime
from agentcore.ports import Clock, Leases, Store
from agentcore.pulse import Periods
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.testing.actor import Actor, an_id
from agentcore.testing.chaos import CALM, ROUGH, STORM, ChaosBus, Dead, Fate, Flaky, Weather, chaos_bus
from agentcore.testing.making import TENANT
from agentcore.testing.virtual import VirtualClock, VirtualLoop, run_virtually

CALLER = Caller(tenant_id=TENANT, subject="somebody")
NODES, CLIENTS, SESSIONS = 3, 3, 2
LOAD_S = 90.0
LATE_S = 2.0  # how late a message of the bus may be when the weather has cleared
DEADLINES_S = (40.0, 120.0, 600.0)
# With nothing to fear and a bus that is perfect, nobody needs to look by himself: each step must lead to the next.
UNAIDED = Periods(tick=0.1, beat=3.0, heads=1e9, sweep=1e9, relay=0.5, forget=1e9)


@frozen(kw_only=True)
class World:
    """What is simulated on."""

    store: Store
    leases: Leases
    bus: Bus


WorldMaker = Callable[[Clock], AbstractAsyncContextManager[World]]


@define(eq=False)
class Consumer:
    """Counts usage events by their id, as a billing system does."""

    fate: Fate
    seen: dict[str, UsageRecorded] = field(factory=dict)

    async def publish(self, event: UsageRecorded) -> None:
        """Take an event."""
        await self.fate.on_the_way()
        assert self.seen.setdefault(event.id, event) == event, "I7: one event id, two contents"


@define(eq=False)
class SimNode:
    """One life of one node."""

    store: Flaky
    leases: Flaky
    scope: CancelScope = field(factory=CancelScope)
    runtime: Runtime | None = None

    def die(self) -> None:
        """Be no more, from this moment on."""
        self.store.is_dead = self.leases.is_dead = True
        if self.runtime is not None:
            self.runtime.house.stop()
        self.scope.cancel()


@define(eq=False)
class Simulation:
    """One run; ``nodes`` are those that are up."""

    seed: int
    world: World
    loop: VirtualLoop
    clock: VirtualClock
    random: Random
    fate: Fate
    bus: ChaosBus
    tasks: TaskGroup
    actor: Actor
    consumer: Consumer
    weather: Weather
    has_cleared: bool = False
    deaths: int = 0
    lived: list[Counts] = field(factory=list)  #: Of each life of each node.
    nodes: dict[int, SimNode] = field(factory=dict)
    trace: list[str] = field(factory=list)
    closing: anyio.Event = field(factory=anyio.Event)  #: Set when all has been judged.

    @property
    def is_calm(self) -> bool:
        """Whether nothing goes wrong in this run."""
        return self.weather is CALM

    @property
    def counts(self) -> Counts:
        """What was counted by all nodes together."""
        names = [attribute.name for attribute in fields(Counts)]
        return Counts(**{name: sum(getattr(counts, name) for counts in self.lived) for name in names})

    @property
    def is_rough(self) -> bool:
        """Whether stores fail and nodes die now."""
        return not self.is_calm and not self.has_cleared

    def clear_up(self) -> None:
        """Let nothing more go wrong but the bus."""
        weather = self.weather
        self.has_cleared, self.fate.is_store_away = True, False
        self.fate.weather = evolve(CALM, lost=weather.lost, twice=weather.twice, late_s=min(weather.late_s, LATE_S))
        for node in self.nodes.values():
            node.store.calls_left = node.leases.calls_left = None

    def note(self, *what: object) -> None:
        """Write down a step, so that two runs can be compared."""
        self.trace.append(f"{self.loop.time():.6f} {' '.join(map(str, what))}")

    def any_runtime(self, random: Random) -> Runtime | None:
        """Return a node that is up."""
        up = [node.runtime for node in self.nodes.values() if node.runtime is not None and not node.store.is_dead]
        return random.choice(up) if up else None

    async def live(self, place: int) -> None:
        """Keep a node running at *place*, life after life."""
        random = Random(f"{self.seed} node {place}")  # noqa: S311 - a simulation
        for life in range(1_000_000):
            doom = random.randint(5, 600) if self.is_rough else None
            store = Flaky(self.world.store, self.fate, doom)
            leases = Flaky(self.world.leases, self.fate, doom)
            node = SimNode(store, leases)
            store.on_death = leases.on_death = node.die
            try:
                with node.scope:
                    await self._run(node, place, life)
            except (Dead, BaseExceptionGroup):
                if not store.is_dead:
                    raise
            self.nodes.pop(place, None)
            if not store.is_dead:
                return
            self.deaths += 1
            self.note("death of node", place)
            await anyio.sleep(random.uniform(0, 20))

    async def _run(self, node: SimNode, place: int, life: int) -> None:
        skew = Random(f"{self.seed} clock {place}").uniform(-2, 2)  # noqa: S311 - a simulation
        async with open_runtime(
            store=cast("Store", node.store),
            leases=cast("Leases", node.leases),
            bus=self.bus,
            engines=self.actor,
            clock=VirtualClock(self.loop, 0.0 if self.is_calm else skew),
            node=NodeId(f"node-{place}-{life}"),
            new_id=lambda: an_id(self.random),
            seal=Seal(b"k" * 32),
            periods=UNAIDED if self.is_calm else Periods(),
            sink=self.consumer,
            drain_s=1.0,
        ) as runtime:
            node.runtime = runtime
            self.nodes[place] = node
            self.note("node", place, "is up")
            self.lived.append(runtime.counts)
            await self.closing.wait()

    async def weather_changes(self) -> None:
        """Let the store go away now and then, and nodes freeze."""
        random = Random(f"{self.seed} weather")  # noqa: S311 - a simulation
        while self.is_rough:
            await anyio.sleep(random.uniform(5, 40))
            if random.random() < 0.5 and self.is_rough:
                self.note("the store goes away")
                self.fate.is_store_away = True
                self.fate.troubles += 1
                await anyio.sleep(random.choice([0.5, 5.0, 30.0]))
                self.fate.is_store_away = False
                self.note("the store is back")


@frozen(kw_only=True)
class Report:
    """What a run came to."""

    seed: int
    accepted: int
    completed: int
    deaths: int
    troubles: int
    recovered: int
    resets: int
    seconds: float  #: Virtual.
    digest: str  #: Of every step: equal digests, equal runs.


def simulate(seed: int, world: WorldMaker, weather: Weather | None = None) -> Report:
    """Run one seed on a world of its own; raises AssertionError if a promise is broken."""

    async def work(loop: VirtualLoop) -> Report:
        from agentcore.testing.clients import Clients  # noqa: PLC0415 - it drives the simulation it is given
        from agentcore.testing.judge import judge  # noqa: PLC0415 - the same

        random = Random(seed)  # noqa: S311 - a simulation
        chosen = weather if weather is not None else random.choice([CALM, ROUGH, ROUGH, STORM])
        clock = VirtualClock(loop)
        fate = Fate(Random(f"{seed} fate"), chosen)  # noqa: S311 - a simulation
        async with world(clock) as made, chaos_bus(made.bus, fate) as bus, anyio.create_task_group() as tasks:
            simulation = Simulation(
                seed, made, loop, clock, random, fate, bus, tasks, Actor(seed, clock, random), Consumer(fate), chosen
            )
            for place in range(NODES):
                tasks.start_soon(simulation.live, place)
            tasks.start_soon(simulation.weather_changes)
            clients = Clients(simulation)
            await clients.load()
            simulation.clear_up()
            await clients.settle()
            await judge(simulation, clients)
            simulation.closing.set()
        return Report(
            seed=seed,
            accepted=len(clients.facts.accepted),
            completed=clients.facts.completed,
            deaths=simulation.deaths,
            troubles=fate.troubles,
            recovered=simulation.counts.recovered,
            resets=sum(reader.resets for reader in clients.readers),
            seconds=loop.time(),
            digest=sha256("\n".join(simulation.trace).encode()).hexdigest(),
        )

    return run_virtually(work)
