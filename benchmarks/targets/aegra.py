"""Aegra: a server with LangGraph's API on PostgreSQL, ``aegra serve`` with its default executor in the process."""

from collections.abc import Mapping, Sequence

from benchmarks import database
from benchmarks.places import home
from benchmarks.targets.langgraph import GRAPH, LangGraph


class Aegra(LangGraph):
    """Speaks the Agent Protocol, too."""

    name = "aegra"
    venv = "aegra"
    ready_path = "/health"
    notes = "aegra serve, one worker, PostgreSQL with its defaults; SSE, stream_mode=messages-tuple"
    variants = ("",)
    postmaster = 0

    async def prepare(self, *, fresh: bool) -> None:
        """Make the database and write the graph."""
        self.postmaster = database.ensure(home() / "postgres")
        if fresh:
            database.recreate(self._database)
        (self.work / "graph.py").write_text(GRAPH)
        (self.work / "aegra.json").write_text('{"graphs":{"chat":"./graph.py:graph"}}')

    def environment(self) -> Mapping[str, str]:
        """Say where the database is, and be quiet."""
        return {
            "DATABASE_URL": database.url(self._database),
            "AEGRA_CONFIG": "aegra.json",
            "LOG_LEVEL": "WARNING",
            "LOG_VERBOSITY": "standard",
            "ENV_MODE": "PRODUCTION",
            "LANGSMITH_TRACING": "false",
        }

    def command(self) -> Sequence[str]:
        """Serve it."""
        return [self.program("aegra"), "serve", "--host", "127.0.0.1", "--port", str(self.port)]

    def helpers(self) -> Sequence[int]:
        """Return the database."""
        return [self.postmaster] if self.postmaster else ()

    @property
    def _database(self) -> str:
        return f"aegra_{self.port}"


TARGET = Aegra
