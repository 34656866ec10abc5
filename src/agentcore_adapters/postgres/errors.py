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


BY_CONSTRAINT: Mapping[str, type[AgentcoreError]] = {
    "task_one_live_per_session": Stale,
    "task_final_is_final": Stale,
    "task_transition_is_legal": Stale,
    "task_pk": Stale,
    "session_pk": Stale,
    "log_head_session_fk": SessionNotFound,
    "task_session_fk": SessionNotFound,
}
AGAIN = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable)
GONE = (
    psycopg.OperationalError,  # also: admin shutdown, too many connections, disk full, statement timeout
    psycopg.InterfaceError,
    PoolTimeout,
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
