"""What may be set of the servers between nodes, and what is refused before anything is opened."""

import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from nats import connect
from tests.support.nats import NatsCluster, a_nats_cluster
from tests.support.node import ME

from agentcore.asking import Ask
from agentcore.books import DeliveryState
from agentcore.ids import NodeId
from agentcore.seal import Seal
from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.nats.bus import NatsBus
from agentcore_adapters.nats.stream import StreamSink
from agentcore_http import doctor, settings
from agentcore_http.cluster import cluster
from agentcore_http.settings import Settings, SettingsError
from agentcore_http.wiring import Place, memory_runtime

pytestmark = pytest.mark.anyio
LOCAL = "nats://127.0.0.1:1"
FAR = "tls://user:password@nats.example:4222"


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with a_nats_cluster(tmp_path_factory.mktemp("nats")) as found:
        yield found


def loaded(**variables: str) -> Settings:
    return settings.load({f"AGENTCORE_{name.upper()}": value for name, value in variables.items()})


async def opened(known: Settings) -> tuple[object, object]:
    async with cluster(known, Seal(b"key"), NodeId("n")) as (bus, sink):
        return bus, sink


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"nats_url": "http://host"}, "AGENTCORE_NATS_URL"),
        ({"nats_url": "nats://"}, "AGENTCORE_NATS_URL"),
        ({"nats_url": " , "}, "AGENTCORE_NATS_URL"),
        ({"nats_url": "nats://127.0.0.1:99999"}, "AGENTCORE_NATS_URL"),
        ({"nats_url": "nats://127.0.0.1:port"}, "AGENTCORE_NATS_URL"),
        ({"nats_url": "nats://127.0.0.1:0"}, "AGENTCORE_NATS_URL"),
        ({"nats_url": LOCAL, "nats_prefix": "a b"}, "AGENTCORE_NATS_PREFIX"),
        ({"nats_url": LOCAL, "nats_prefix": "a.>"}, "AGENTCORE_NATS_PREFIX"),
        ({"nats_url": LOCAL, "usage_stream": "a.b"}, "AGENTCORE_USAGE_STREAM"),
        ({"nats_url": LOCAL, "nats_plaintext": "perhaps"}, "AGENTCORE_NATS_PLAINTEXT"),
    ],
)
def test_what_is_malformed_is_refused_by_name(variables: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        loaded(**variables)


def test_SEC28_a_password_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(nats_url="tls://user:pa\u2100ss@host:1")
    assert "pa\u2100ss" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"usage_stream": "usage"}, "needs AGENTCORE_NATS_URL"),
        ({"nats_ca": "/ca.pem"}, "NATS_CA needs AGENTCORE_NATS_URL"),
        ({"nats_prefix": "p"}, "NATS_PREFIX needs AGENTCORE_NATS_URL"),
        ({"nats_plaintext": "true"}, "NATS_PLAINTEXT needs AGENTCORE_NATS_URL"),
        ({"nats_url": FAR, "nats_ca": __file__}, "holds no certificates"),
        ({"nats_url": LOCAL, "database_url": "postgresql://host/db"}, "needs AGENTCORE_SECRET_KEY"),
        ({"nats_url": LOCAL, "usage_stream": "u", "usage_webhook": "http://x"}, "one of them"),
        ({"nats_url": "tls://nats.example:4222"}, "user:password"),
        ({"nats_url": "nats://user:password@nats.example:4222"}, "AGENTCORE_NATS_PLAINTEXT"),
        ({"nats_url": f"{FAR},nats://user:password@nats.example:4222"}, "AGENTCORE_NATS_PLAINTEXT"),
        ({"nats_url": FAR, "nats_ca": "/nowhere/ca.pem"}, "AGENTCORE_NATS_CA"),
    ],
)
async def test_SEC28_what_would_not_be_safe_is_refused_with_what_to_set(variables: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        await opened(loaded(**variables))
    assert "password@nats.example" not in str(caught.value)


async def test_a_server_that_cannot_be_reached_keeps_no_node_from_starting() -> None:
    bus, sink = await opened(loaded(nats_url="nats://user:p@nats.example:4222", nats_plaintext="true"))
    assert isinstance(bus, NatsBus)
    assert not bus.state().is_connected
    assert sink is None
    assert "p@nats" not in repr(bus)


async def test_without_them_the_bus_is_of_one_process(nats: NatsCluster) -> None:
    assert isinstance((await opened(loaded()))[0], MemoryBus)
    bus, sink = await opened(loaded(nats_url=nats.urls, usage_stream="usage", nats_prefix="one.two"))
    assert isinstance(bus, NatsBus)
    assert isinstance(sink, StreamSink)
    assert (sink.subject, sink.replicas, bus.subjects.all) == ("usage.usage.recorded", 1, "one.two.all")
    _, sink = await opened(loaded(nats_url=",".join([LOCAL] * 3), usage_stream="usage"))
    assert isinstance(sink, StreamSink)
    assert sink.replicas == 3


async def test_the_doctor_says_whether_they_let_us_in(nats: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NATS_S", 0.5)
    known = loaded(nats_url=nats.urls)
    assert str(await doctor.bus(known)) == "bus       ok       NATS, AGENTCORE_NATS_URL"
    assert (await doctor.bus(loaded())).state == "ok"
    strange = await doctor.bus(evolve(known, nats_url=(f"nats://user:wrong@127.0.0.1:{nats.servers[0].port}",)))
    assert (strange.state, strange.is_bad) == ("odd", False)
    missing = await doctor.bus(evolve(known, nats_ca=Path("/nowhere")))
    assert (missing.state, missing.is_bad) == ("missing", True)


async def test_B2_what_a_task_has_used_is_in_the_stream_once(nats: NatsCluster, tmp_path: Path) -> None:
    known = loaded(nats_url=nats.urls, usage_stream="billing", data_dir=str(tmp_path))
    client = await connect(nats.urls)
    async with memory_runtime(known, Place(), ScriptedEngines([ScriptedEngine()])) as runtime:
        accepted = await runtime.execute(ME, Ask(text="[[say:hello]]"))
        with anyio.fail_after(10):
            while await runtime.store.deliveries(ME.tenant_id, DeliveryState.DELIVERED, 1) == []:
                await anyio.sleep(0.02)
        state = (await client.jetstream().stream_info("billing")).state
        message = await client.jetstream().get_msg("billing", 1)
    await client.close()
    assert message.data is not None
    event = json.loads(message.data)
    assert (state.messages, event["type"], event["data"]["taskId"]) == (1, "usage.recorded", accepted.task_id)
