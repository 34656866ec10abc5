"""Real NATS servers: one, or a cluster with JetStream."""

import json
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from attrs import define, field

USER, PASSWORD = "agentcore", "of-the-tests"
READY_S = 20.0
CONFIG = """
server_name: {name}
listen: 127.0.0.1:{port}
http: 127.0.0.1:{monitor}
authorization {{ users: [{{ user: {user}, password: "{password}"{rights} }}] }}
jetstream {{ store_dir: "{folder}", max_file: 64M, sync_interval: always }}
"""
CLUSTER = """
cluster {{
  name: tests
  listen: 127.0.0.1:{port}
  authorization {{ user: {user}, password: "{password}" }}
  routes: [{routes}]
}}
"""


def nats_server() -> str:
    """Find the program: it comes with a wheel."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    assert found, "nats-server is not installed: it is in requirements/test.txt"
    return found


def free_ports(count: int) -> list[int]:
    """Find ports that nobody has."""
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for one in with_sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in with_sockets]
    finally:
        for one in with_sockets:
            one.close()


@define(eq=False)
class NatsServer:
    """One server, life after life."""

    folder: Path
    port: int
    monitor: int  #: The port where it says how it does.
    config: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, and who may come."""
        return f"nats://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it is there soon."""
        file = self.folder / "nats.conf"
        file.write_text(self.config)
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen([nats_server(), "-c", str(file)], stdout=log, stderr=log)

    def wait_until_ready(self) -> None:
        """Wait until it takes connections."""
        until = time.monotonic() + READY_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as one:
                    assert one.recv(4) == b"INFO"
                    return
            except OSError:
                assert time.monotonic() < until, (self.folder / "nats.log").read_text()
                time.sleep(0.02)

    def known(self) -> set[str]:
        """Return the names of the servers that it has a route to."""
        with urlopen(f"http://127.0.0.1:{self.monitor}/routez", timeout=5) as answer:
            return {str(route["remote_name"]) for route in json.load(answer)["routes"] if "remote_name" in route}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@define(eq=False)
class NatsCluster:
    """Some servers that know each other."""

    servers: list[NatsServer] = field(factory=list)

    @property
    def urls(self) -> str:
        """Where they are, as it is set."""
        return ",".join(server.url for server in self.servers)

    def start(self, *servers: NatsServer) -> None:
        """Start them, or only some, and wait."""
        for server in servers or self.servers:
            server.start()
        for server in servers or self.servers:
            server.wait_until_ready()
        up = [server for server in self.servers if server.process is not None]
        until = time.monotonic() + READY_S
        while any(len(server.known()) < len(up) - 1 for server in up):
            assert time.monotonic() < until, "the servers do not find each other"
            time.sleep(0.02)

    def kill(self, *servers: NatsServer) -> None:
        """Kill them, or only some."""
        for server in servers or self.servers:
            server.kill()


@contextmanager
def a_nats_cluster(folder: Path, size: int = 1, rights: str = "", more: str = "") -> Iterator[NatsCluster]:
    """Run servers in *folder*; none of them is left.

    *rights*: all that their user may do, if not everything; *more*: of their configuration.
    """
    ports = free_ports(3 * size)
    clients, routes, monitors = ports[:size], ports[size : 2 * size], ports[2 * size :]
    cluster = NatsCluster(
        [_server(folder, number, clients, routes, monitors[number], rights, more) for number in range(size)]
    )
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


def _server(
    folder: Path, number: int, clients: Sequence[int], routes: Sequence[int], monitor: int, rights: str, more: str
) -> NatsServer:
    own = folder / f"nats-{number}"
    own.mkdir(parents=True)
    known = {"user": USER, "password": PASSWORD}
    config = CONFIG.format(
        name=f"nats-{number}", port=clients[number], monitor=monitor, folder=own / "jetstream", rights=rights, **known
    )
    config += more
    if len(clients) > 1:
        others = ", ".join(f'"nats://{USER}:{PASSWORD}@127.0.0.1:{port}"' for port in routes)
        config += CLUSTER.format(port=routes[number], routes=others, **known)
    return NatsServer(own, clients[number], monitor, config)
