"""One mutant on trial: a fork in which the guard is missing, and the tests that should notice.

Law: nothing of a mutant outlives its fork; its databases are copies, and they are dropped.  A test that takes too
long has noticed, because it waits for what a guard would have brought about.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from multiprocessing.util import Finalize
from pathlib import Path
from types import CodeType, FrameType, ModuleType

import psycopg
import pytest
from attrs import define, evolve, frozen
from hypothesis import HealthCheck, settings
from psycopg import conninfo

from tests.mutation import lent
from tests.mutation.mutant import Look, Mutant, Verdict
from tests.support.database import Server, running_server

OPTIONS = ["-x", "-q", "--tb=no", "--no-header", "--no-summary", "-p", "no:cacheprovider"]
OPTIONS += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
WARM = ("tests.support.server", "agentcore_http.wiring", "agentcore.testing.machine", "anyio.pytest_plugin")
OURS = ("agentcore", "agentcore_adapters", "agentcore_http", "tests")
UNMADE = "CANNOT BE MADE"
TEST_CPU_S = 30.0  # of work for one test: a machine that is busy with other things must not look like a mutant
TEST_S = 120.0  # for one test
LOOK_S = 600.0  # for all of one look


@define
class Bench:
    """Where trials are held: a server, and a template with the schema as it should be."""

    server: Server
    trials: int = 0

    def judge(self, mutant: Mutant) -> Verdict:
        """Run the tests that should notice; return the first that does."""
        begun, self.trials = time.monotonic(), self.trials + 1
        prefix = f"p{os.getpid()}m{self.trials}_"
        server = self.server
        killer: str | None = None
        try:
            if mutant.statements:
                server = evolve(server, template=self._template(prefix, mutant.statements))
            for i, look in enumerate(mutant.looks):
                killer = _in_a_fork(mutant, look, evolve(server, prefix=f"{prefix}l{i}t"))
                if killer is not None:
                    break
        except psycopg.Error as error:
            killer = f"{UNMADE}: {' '.join(str(error).split())}"
        finally:
            self._drop(prefix)
        return Verdict(mutant.name, killer, time.monotonic() - begun)

    def _template(self, prefix: str, statements: Sequence[str]) -> str:
        name = f"{prefix}template"
        with self._admin() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self.server.template}".encode())
        address = conninfo.make_conninfo(self.server.running.dsn_owner, dbname=name)
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return name

    def _drop(self, prefix: str) -> None:
        with self._admin() as connection:
            found = connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]
            ).fetchall()
            for (name,) in found:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def _admin(self) -> psycopg.Connection[tuple[object, ...]]:
        address = conninfo.make_conninfo(self.server.running.dsn_owner, dbname="postgres")
        return psycopg.connect(address, autocommit=True)


_open = ExitStack()
_benches: list[Bench] = []


def open_bench() -> None:
    """Prepare a process to judge."""
    for name in WARM:  # what others wrote is imported once; what is ours is imported anew in each fork
        import_module(name)
    Finalize(None, _open.close, exitpriority=10)
    _benches.append(Bench(_open.enter_context(running_server(Path()))))


def judge(mutant: Mutant) -> Verdict:
    """Judge a mutant in this process."""
    return _benches[0].judge(mutant)


def _in_a_fork(mutant: Mutant, look: Look, server: Server) -> str | None:
    """Return what noticed, or None."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            if "AGENTCORE_MUTATION_DEBUG" not in os.environ:
                os.dup2(0, 1)
                os.dup2(0, 2)
            os.write(write, _looked(mutant, look, server, write).encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it was not there before
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    said, end = b"", time.monotonic() + LOOK_S
    while (left := end - time.monotonic()) > 0 and select.select([read], [], [], left)[0]:
        chunk = os.read(read, 65536)
        said += chunk
        if not chunk:
            break
    else:
        said = said or b"time-out"
    os.close(read)
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if not said:
        return "the process died"
    return None if said == GREEN else said.decode(errors="replace")


GREEN = b"green"


def _looked(mutant: Mutant, look: Look, server: Server, write: int) -> str:
    if mutant.module:  # who has it would keep it
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
        sys.meta_path.insert(0, Changed(mutant.module, mutant.source))
    settings.register_profile("mutation", deadline=None, suppress_health_check=list(HealthCheck), database=None)
    settings.load_profile("mutation")
    watch, fixtures = Watch(write), [] if look.whole else [lent]
    lent.LENT.append(server)
    arguments = [*OPTIONS, *look.paths, *(["-k", look.only] if look.only else [])]
    ended = pytest.main([*arguments, *(["--noconftest"] if fixtures else [])], plugins=[watch, *fixtures])
    if watch.red:
        return watch.red
    return GREEN.decode() if ended == pytest.ExitCode.OK else f"pytest ended with {ended}"


@frozen
class Changed:
    """Finds one module in its changed form."""

    module: str
    source: str

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find it where it is, with a loader of ours."""
        spec = PathFinder.find_spec(name, path, target) if name == self.module else None
        if spec is not None and spec.origin is not None:
            spec.loader = ChangedLoader(name, spec.origin, self.source)
        return spec


class ChangedLoader(SourceFileLoader):
    """Runs changed source in a module's place."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile it anew: what was compiled before is not it."""
        return compile(self.source, self.path, "exec")


@define(eq=False)
class Watch:
    """Remembers the first red test, and ends one that takes too long."""

    write: int
    red: str = ""
    now: str = ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Let the time of a test begin."""
        self.now = nodeid
        for signum, timer, seconds in (
            (signal.SIGALRM, signal.ITIMER_REAL, TEST_S),
            (signal.SIGPROF, signal.ITIMER_PROF, TEST_CPU_S),
        ):
            signal.signal(signum, self._late)
            signal.setitimer(timer, seconds)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember it."""
        if report.failed:
            self.red = self.red or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what cannot even be imported."""
        if report.failed:
            self.red = self.red or f"cannot be imported by {report.nodeid}"

    def _late(self, _: int, __: FrameType | None) -> None:
        os.write(self.write, f"time-out in {self.now}".encode())
        os._exit(0)
