"""A machine of its own for a server: a network namespace whose one cable can be pulled.

Law: a cable that is pulled says nothing: connections stay open and nothing comes through.  What the server needs of
this machine is forwarded to it over the cable, and so are its clients; nothing goes anywhere else.
"""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import anyio
from anyio.abc import ByteStream, SocketStream, TaskGroup
from attrs import define
from psycopg import conninfo

LET_IN = """
import asyncio, sys
async def serve(reader, writer):
    there = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    async def copy(one, other):
        try:
            while data := await one.read(65536):
                other.write(data)
                await other.drain()
        except OSError:
            pass
        finally:
            other.close()
    await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))
async def main():
    server = await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]))
    await server.serve_forever()
asyncio.run(main())
"""
ADDRESSES = ("AGENTCORE_USAGE_WEBHOOK", "ANTHROPIC_BASE_URL")


def cannot() -> str | None:
    """Say why there can be none here."""
    if os.name != "posix" or os.geteuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "there is no program ip (Debian: iproute2)"
    probe = f"acprobe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "network namespaces cannot be made here"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return None


@define(eq=False)
class Local(ByteStream):
    """A Unix socket; anyio's own lets the event loop fail if it is closed in the moment in which something comes."""

    socket: socket.socket

    @classmethod
    async def connect(cls, path: str) -> "Local":
        """Open one; raises OSError."""
        local = cls(socket.socket(socket.AF_UNIX))
        local.socket.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(local.socket, path)
        except BaseException:
            local.socket.close()
            raise
        return local

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return what has come."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self.socket, max_bytes)
        except OSError as error:
            raise anyio.BrokenResourceError from error
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """Send all of it."""
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, item)
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        self.socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close it."""
        self.socket.close()


@define(eq=False)
class Apart:
    """The other machine."""

    name: str
    here: str  #: Our address on the cable.
    there: str
    tasks: TaskGroup

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands before a command that is to run there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", f"{self.name}h", "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("link", "set", f"{self.name}h", "up")

    async def let_in(self, port: int) -> None:
        """Let clients of this machine reach a server there as if it were here."""
        command = [*self.prefix, "python3", "-c", LET_IN, self.there, str(port)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.tasks.start_soon(_as_long_as, process)
        await self._forward("127.0.0.1", port, (self.there, port))

    async def seen_from_there(self, env: dict[str, str]) -> dict[str, str]:
        """Return what must be set otherwise there, where our loopback is not."""
        seen = {"AGENTCORE_NATS_PLAINTEXT": "true"}
        for name in ADDRESSES:
            parts = urlsplit(env[name])
            port = await self._forward(self.here, 0, (str(parts.hostname), parts.port or 80))
            seen[name] = urlunsplit(parts._replace(netloc=f"{self.here}:{port}"))
        servers = []
        for server in env["AGENTCORE_NATS_URL"].split(","):
            parts = urlsplit(server)
            port = await self._forward(self.here, 0, (str(parts.hostname), parts.port or 4222))
            servers.append(f"nats://{parts.username}:{parts.password}@{self.here}:{port}")
        seen["AGENTCORE_NATS_URL"] = ",".join(servers)
        database = conninfo.conninfo_to_dict(env["AGENTCORE_DATABASE_URL"])
        port = await self._forward(self.here, 0, f"{database['host']}/.s.PGSQL.{database.get('port', 5432)}")
        seen["AGENTCORE_DATABASE_URL"] = conninfo.make_conninfo(
            env["AGENTCORE_DATABASE_URL"], host=self.here, port=port
        )
        return seen

    async def _forward(self, host: str, port: int, target: tuple[str, int] | str) -> int:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)

        async def carry(client: SocketStream) -> None:
            try:
                server = await (Local.connect(target) if isinstance(target, str) else anyio.connect_tcp(*target))
            except OSError:
                await client.aclose()
                return
            async with client, server, anyio.create_task_group() as both:

                async def copy(one: ByteStream, other: ByteStream) -> None:
                    try:
                        async for data in one:
                            await other.send(data)
                    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                        pass
                    finally:
                        both.cancel_scope.cancel()

                both.start_soon(copy, client, server)
                both.start_soon(copy, server, client)

        async def serve() -> None:
            async with listener:
                await listener.serve(carry)

        self.tasks.start_soon(serve)
        return int(listener.extra(anyio.abc.SocketAttribute.local_port))


async def _as_long_as(process: "subprocess.Popen[bytes]") -> None:
    """Let it run until there is no more need of it."""
    try:
        await anyio.sleep_forever()
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def a_machine_apart() -> AsyncIterator[Apart]:
    """Make one, and take it away again."""
    name = f"ac{os.getpid() % 100_000}"
    net = f"10.213.{os.getpid() % 250}"
    here, there = f"{net}.1", f"{net}.2"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}n", "netns", name)
        _ip("addr", "add", f"{here}/24", "dev", f"{name}h")
        _ip("link", "set", f"{name}h", "up")
        for more in (("addr", "add", f"{there}/24", "dev", f"{name}n"), ("link", "set", f"{name}n", "up")):
            _ip("-n", name, *more)
        _ip("-n", name, "link", "set", "lo", "up")
        _wait_for(here)
        async with anyio.create_task_group() as tasks:
            yield Apart(name, here, there, tasks)
            tasks.cancel_scope.cancel()
    finally:
        _ip("netns", "del", name)  # and with it the cable


def _wait_for(address: str) -> None:
    with socket.socket() as one:
        one.bind((address, 0))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
