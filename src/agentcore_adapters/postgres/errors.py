"""What PostgreSQL says, in the words of the domain.

Law: a constraint is known by its name, never by the text of a message.  A connection that is lost, a server that
is going down or is full, are one thing to the domain: the store is unavailable.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from agentcore.errors import AgentcoreError, SessionNotFound, StoreUnavailable
from agentcore.ports import Stale


class StoreStartError(Exception):
    """The database cannot be used as it is; the text says what to do."""


class EmbeddedServerError(StoreStartError):
    """The server of our own does not run; the text ends with what it said."""


ADVICE: Mapping[str, str] = {
    "No space left on device": "The disk is full: free some space, or choose a data folder elsewhere with --data-dir.",
    "Disk quota exceeded": "Your disk quota is used up: free some space, or choose another folder with --data-dir.",
    "postmaster.pid": "Another PostgreSQL server uses the data folder: stop it, or choose another with --data-dir.",
    "Address already in use": "Another server has the socket: stop it, or choose another folder with --data-dir.",
    "Permission denied": "Give the data folder to the user who runs agentcore, or choose another with --data-dir.",
    "Read-only file system": "The data folder cannot be written: choose another with --data-dir.",
    "Cannot allocate memory": "There is not enough memory for PostgreSQL: it needs about 200 MB.",
}
NO_ADVICE = "Mend what the server complains of, or set AGENTCORE_DATABASE_URL to another one."
BY_CONSTRAINT: Mapping[str, type[AgentcoreError]] = {
    "task_one_live_per_session": Stale,
    "task_final_is_final": Stale,
    "task_transition_is_legal": Stale,
    "task_pk": Stale,
    "session_pk": Stale,
    "log_head_session_fk": SessionNotFound,
    "task_session_fk": SessionNotFound,
    "blob_ref_blob_fk": Stale,  # it was there, unused, and has just been forgotten: decided again, it is stored again
}
AGAIN = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable)
GONE = (
    psycopg.OperationalError,  # also: admin shutdown, too many connections, disk full, statement timeout
    psycopg.InterfaceError,
    PoolTimeout,
    TimeoutError,  # of our own patience
    pg.IdleInTransactionSessionTimeout,  # it was this process that was slow, and the server has let it go
    pg.ReadOnlySqlTransaction,  # a standby answers, in the middle of a failover
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the domain's error for the database's."""
    try:
        yield
    except psycopg.IntegrityError as error:
        kind = BY_CONSTRAINT.get(error.diag.constraint_name or "")
        if kind is None:
            raise
        raise kind("The decision was made on an old reading.") from None
    except AGAIN:
        raise
    except GONE:
        raise StoreUnavailable("The database cannot be reached now; try again in a moment.") from None


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Say what the system refused, and what to do about it."""
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(advised(what, f"{error.strerror}: {error.filename}")) from None


def advised(what: str, said: str) -> str:
    """Return what is wrong, what to do about it, and the last 20 lines that were *said*."""
    advice = next((advice for word, advice in ADVICE.items() if word in said), NO_ADVICE)
    return f"{what}. {advice} It said: {' | '.join(said.strip().splitlines()[-20:]) or 'nothing'}"
