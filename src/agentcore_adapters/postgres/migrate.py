"""Bringing a schema up to date.

Law: a migration is one file and one transaction, is applied once and never changed; one migrator works at a time.
``pre`` only expands, so that the release before still runs on it; ``post`` contracts.
"""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

import anyio
import psycopg
from psycopg import errors as pg
from psycopg import sql

from agentcore_adapters.postgres.errors import StoreStartError

LOCK = "SELECT pg_advisory_lock(hashtext('agentcore.migrate'))"
OLDEST = 150_000
TRIES, RETRY_S = 20, 0.5
SERVICE_ROLES = ("agentcore_app", "agentcore_worker")


def folder_of_ours() -> Traversable:
    """Return the folder with the migrations of this release."""
    return files("agentcore_adapters.postgres") / "migrations"


async def migrate(dsn_owner: str, folder: Traversable | None = None, service: str = "agentcore_service") -> list[str]:
    """Apply what is missing and return the names; the role *service*, if it exists, may then use the schema.

    Raises StoreStartError if an applied migration has changed, or the server will not do.
    """
    known = _known(folder or folder_of_ours())
    applied: list[str] = []
    async with await psycopg.AsyncConnection.connect(dsn_owner, autocommit=True, connect_timeout=10) as connection:
        await _check_server(connection)
        await connection.execute(LOCK)
        await connection.execute("CREATE SCHEMA IF NOT EXISTS agentcore")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS agentcore.schema_migration "
            "(id text PRIMARY KEY, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = await _applied(connection)
        for name, text in known.items():
            digest = hashlib.sha256(text.encode()).digest()
            if name in done and done[name] != digest:
                raise StoreStartError(f"The migration {name} was applied in another form. Restore the file it was.")
            if name not in done:
                await _apply(connection, name, text, digest)
                applied.append(name)
        await _grant(connection, service)
    return applied


async def check_schema(dsn: str) -> None:
    """Raise StoreStartError unless every migration that the code needs is applied."""
    try:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            await _check_server(connection)
            done = await _applied(connection)
    except (pg.UndefinedTable, pg.InvalidSchemaName, pg.InsufficientPrivilege):
        done = {}
    except psycopg.OperationalError as error:
        raise StoreStartError(f"AGENTCORE_DATABASE_URL: the server does not answer ({type(error).__name__}).") from None
    missing = [name for name in _known(folder_of_ours()) if "_pre_" in name and name not in done]
    if missing:
        raise StoreStartError(f"The database lacks the migration {missing[0]}. Run: agentcore migrate")


def _known(folder: Traversable) -> dict[str, str]:
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return {item.name.removesuffix(".sql"): item.read_text(encoding="utf-8") for item in found}


async def _applied(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> dict[str, bytes]:
    rows = await connection.execute("SELECT id, sha256 FROM agentcore.schema_migration")
    return {str(name): bytes(digest) async for name, digest in rows if isinstance(digest, bytes)}


async def _apply(connection: psycopg.AsyncConnection[tuple[object, ...]], name: str, text: str, digest: bytes) -> None:
    for attempt in range(TRIES):
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '3s'")
                await connection.execute(text.encode())
                await connection.execute(
                    "INSERT INTO agentcore.schema_migration (id, sha256) VALUES (%s, %s)", [name, digest]
                )
        except pg.LockNotAvailable:
            if attempt == TRIES - 1:
                raise StoreStartError(f"The migration {name} did not get its locks. Try at a quieter time.") from None
            await anyio.sleep(RETRY_S)
        else:
            return


async def _grant(connection: psycopg.AsyncConnection[tuple[object, ...]], service: str) -> None:
    for role in SERVICE_ROLES:
        found = await connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [[role, service]])
        if len(await found.fetchall()) > 1:
            query = sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(service))
            await connection.execute(query)
    found = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [service])
    if await found.fetchone():
        who = sql.Identifier(service)
        await connection.execute(sql.SQL("GRANT USAGE ON SCHEMA agentcore TO {}").format(who))
        await connection.execute(sql.SQL("GRANT SELECT ON agentcore.schema_migration TO {}").format(who))


async def _check_server(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    if connection.info.server_version < OLDEST:
        raise StoreStartError("PostgreSQL 15 or newer is needed.")
    row = await (await connection.execute("SHOW server_encoding")).fetchone()
    if row is None or row[0] != "UTF8":
        raise StoreStartError("The database must be encoded in UTF8.")
