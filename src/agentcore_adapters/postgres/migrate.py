"""Bringing a schema up to date.

Law: a migration is one file and one transaction, is applied once and never changed; one migrator works at a time.
``pre`` only expands, so that the release before still runs on it; ``post`` contracts, and is left for another time
while a node of an older release is there.  No ``pre`` needs a ``post`` that has a lower number.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import anyio
import psycopg
from attrs import frozen
from psycopg import errors as pg
from psycopg import sql
from psycopg.pq import TransactionStatus

from agentcore import __version__
from agentcore_adapters.postgres.errors import StoreStartError
from agentcore_adapters.postgres.pooler import tell
from agentcore_adapters.postgres.presence import UNKNOWN, beating, older

Connection = psycopg.AsyncConnection[tuple[object, ...]]
NAME = re.compile(r"\d{4}_(pre|post)_\w+\.sql")
LOCK = "SELECT pg_advisory_lock(hashtext('agentcore.migrate'))"
OLDEST = 150_000
# What libpq and the server say when nobody gets in, if they say it in English; nothing of it is repeated.
REFUSALS = {
    "authentication failed": "the server refuses user or password",
    "no password supplied": "the server asks for a password",
    "no pg_hba.conf entry": "the server lets nobody in from here, see its pg_hba.conf",
    "does not exist": "there is no such user or database",
    "unsupported startup parameter": "the pooler in between refuses an option of the address, take options out of it",
    "too many": "the server has no connection left",
    "starting up": "the server is starting",
}
PATIENCE = "SET LOCAL lock_timeout = '3s'"  # who waits for a lock on a table stops all who come after
PLACE = "SET LOCAL search_path = agentcore"  # else it is only found by an owner of that name
TRIES, RETRY_S = 20, 0.5
SETTINGS = {"client_encoding": "UTF8", "statement_timeout": "0", "idle_in_transaction_session_timeout": "60s"}
PRESENCE = "0017_pre_node"  # what keeps rows of nodes
SERVICE = "agentcore_service"  # the login of the server, where there is one beside the owner
# The lock that makes one migrator is the session's: there it would be somebody else's at the next transaction.
POOLED = (
    "AGENTCORE_DATABASE_URL leads to a pooler (PgBouncer or the like). The schema is changed under a lock of the "
    "session, so migrate needs the address of PostgreSQL itself; serve may go through the pooler."
)
UNBOUND = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
SERVICE_ROLES = ("agentcore_app", "agentcore_worker")


def folder_of_ours() -> Traversable:
    """Return the folder with the migrations of this release."""
    return files("agentcore_adapters.postgres") / "migrations"


@frozen
class Migrated:
    """What was done."""

    applied: list[str]
    left: list[str]  #: What takes away something that *needed_by* may still need.
    needed_by: Mapping[str, int]  #: Nodes of each older release, or of one that is not known.


async def migrate(
    dsn_owner: str, folder: Traversable | None = None, service: str = SERVICE, *, release: str = __version__
) -> Migrated:
    """Apply what is missing and may be; *service* and SERVICE, if they exist, may then use the schema.

    Raises StoreStartError if an applied migration has changed, the server will not do, or a pooler answers for it.
    """
    known = _known(folder or folder_of_ours())
    applied: list[str] = []
    left: list[str] = []
    needed_by: Mapping[str, int] = {}
    async with await psycopg.AsyncConnection.connect(
        dsn_owner, autocommit=True, connect_timeout=5, prepare_threshold=None
    ) as connection:
        if not await tell(connection, SETTINGS):
            raise StoreStartError(POOLED)
        await _check_server(connection)
        await connection.execute(LOCK)
        await connection.execute("CREATE SCHEMA IF NOT EXISTS agentcore")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS agentcore.schema_migration "
            "(id text PRIMARY KEY, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = await _applied(connection)
        digests = {name: hashlib.sha256(text.encode()).digest() for name, text in known.items()}
        for name, digest in digests.items():
            if done.get(name, digest) != digest:
                raise StoreStartError(f"The migration {name} was applied in another form. Restore the file it was.")
        for name, text in known.items():
            if name in done:
                continue
            if "_post_" in name:
                # Nodes that ran before there were rows of them are there for all we know.
                blind = bool(done) and PRESENCE in applied
                needed_by = {UNKNOWN: 1} if blind else older(await _nodes(connection), release) if done else {}
                if needed_by:
                    left.append(name)
                    continue
            await _apply(connection, name, text, digests[name])
            applied.append(name)
        for name in {service, SERVICE}:
            await grant_service(connection, name)
    return Migrated(applied, left, needed_by)


async def check_schema(dsn: str, folder: Traversable | None = None) -> None:
    """Raise StoreStartError unless the login is bound by row security and all migrations that are needed are there."""
    try:
        async with await psycopg.AsyncConnection.connect(
            dsn, autocommit=True, connect_timeout=10, prepare_threshold=None
        ) as connection:
            await _check_server(connection)
            await _check_login(connection)
            done = await _applied(connection)
    except (pg.UndefinedTable, pg.InvalidSchemaName, pg.InsufficientPrivilege):
        done = {}
    except psycopg.OperationalError as error:
        said = str(error)
        why = next((why for word, why in REFUSALS.items() if word in said), "the server does not answer")
        raise StoreStartError(f"AGENTCORE_DATABASE_URL: {why} ({type(error).__name__}).") from None
    missing = [name for name in _known(folder or folder_of_ours()) if "_pre_" in name and name not in done]
    if missing:
        raise StoreStartError(f"The database lacks the migration {missing[0]}. Run: agentcore migrate")


async def grant_service(connection: Connection, service: str = SERVICE) -> None:
    """Make the role *service*, if it exists, a member of the schema's roles, and let it see what is applied."""
    rows = await connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [[service, *SERVICE_ROLES]]
    )
    found = {str(name) async for (name,) in rows}
    if service not in found:
        return
    who = sql.Identifier(service)
    for role in SERVICE_ROLES:
        if role in found:
            await connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), who))
    await connection.execute(sql.SQL("GRANT USAGE ON SCHEMA agentcore TO {}").format(who))
    await connection.execute(sql.SQL("GRANT SELECT ON agentcore.schema_migration TO {}").format(who))


@cache
def needed() -> frozenset[str]:
    """Return the migrations without which this release cannot work."""
    return frozenset(name for name in _known(folder_of_ours()) if "_pre_" in name)


def _known(folder: Traversable) -> dict[str, str]:
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    numbers = [item.name[:4] for item in found]
    for item in found:
        if not NAME.fullmatch(item.name) or numbers.count(item.name[:4]) > 1:
            raise StoreStartError(
                f"{item.name} is no migration: one is called NNNN_pre_*.sql, and no number comes twice."
            )
    return {item.name.removesuffix(".sql"): item.read_text(encoding="utf-8") for item in found}


async def _applied(connection: Connection) -> dict[str, bytes]:
    rows = await connection.execute("SELECT id, sha256 FROM agentcore.schema_migration")
    return {str(name): bytes(digest) async for name, digest in rows if isinstance(digest, bytes)}


async def _nodes(connection: Connection) -> dict[str, int]:
    row = await (await connection.execute("SELECT to_regclass('agentcore.node') IS NOT NULL")).fetchone()
    return await beating(connection) if row and row[0] else {}


async def _apply(connection: Connection, name: str, text: str, digest: bytes) -> None:
    for attempt in range(TRIES):
        try:
            async with connection.transaction():
                await connection.execute(PATIENCE)
                await connection.execute(PLACE)
                await connection.execute(text.encode())
                if connection.info.transaction_status is not TransactionStatus.INTRANS:
                    raise StoreStartError(f"The migration {name} ends its transaction; the runner does that.")
                await connection.execute(
                    "INSERT INTO agentcore.schema_migration (id, sha256) VALUES (%s, %s)", [name, digest]
                )
        except (pg.LockNotAvailable, pg.DeadlockDetected):
            if attempt == TRIES - 1:
                raise StoreStartError(f"The migration {name} did not get its locks. Try at a quieter time.") from None
            await anyio.sleep(RETRY_S)
        except psycopg.Error as error:
            raise StoreStartError(f"The migration {name} failed, and nothing of it is kept: {error}") from error
        else:
            return


async def _check_login(connection: Connection) -> None:
    row = await (await connection.execute(UNBOUND)).fetchone()
    if row is None or row[0]:
        raise StoreStartError(
            "AGENTCORE_DATABASE_URL logs in as a superuser, or as one whom row security does not bind: tenants would "
            f"be kept apart by nothing but our own care. CREATE ROLE {SERVICE} LOGIN NOINHERIT, give it a password, "
            "run agentcore migrate once more as the owner, and log in as that role."
        )


async def _check_server(connection: Connection) -> None:
    if connection.info.server_version < OLDEST:
        raise StoreStartError("PostgreSQL 15 or newer is needed.")
    row = await (await connection.execute("SHOW server_encoding")).fetchone()
    if row is None or row[0] != "UTF8":
        raise StoreStartError("The database must be encoded in UTF8.")
