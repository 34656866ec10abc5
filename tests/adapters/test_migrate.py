"""A schema is brought up to date once, by one, and only by files that never change."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import psycopg
import pytest
from psycopg import conninfo
from tests.support.database import Server, ask

from agentcore_adapters.postgres import migrate as runner
from agentcore_adapters.postgres.errors import StoreStartError
from agentcore_adapters.postgres.migrate import check_schema, migrate

pytestmark = pytest.mark.anyio

APPLIED = "SELECT string_agg(id, ' ' ORDER BY id) FROM agentcore.schema_migration"


@pytest.fixture
def empty(postgres: Server) -> Iterator[str]:
    """An empty database."""
    yield from made(postgres, "empty", "TEMPLATE template0")


def made(postgres: Server, name: str, options: str) -> Iterator[str]:
    admin = conninfo.make_conninfo(postgres.running.dsn_owner, dbname="postgres")
    ask(admin, f"CREATE DATABASE {name} {options}")
    yield conninfo.make_conninfo(postgres.running.dsn_owner, dbname=name)
    ask(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_pre_first", "CREATE TABLE agentcore.first (n int);")
    write(
        tmp_path, "0002_post_second", "CREATE TABLE agentcore.second (n int); INSERT INTO agentcore.first VALUES (2);"
    )
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.sql").write_text(text)


async def test_all_that_is_missing_is_applied_in_order_and_once(empty: str, folder: Path) -> None:
    assert (await migrate(empty, folder)).applied == ["0001_pre_first", "0002_post_second"]
    assert (await migrate(empty, folder)).applied == []
    write(folder, "0003_pre_third", "INSERT INTO agentcore.first VALUES (3);")
    assert (await migrate(empty, folder)).applied == ["0003_pre_third"]
    assert ask(empty, "SELECT string_agg(n::text, ',' ORDER BY n) FROM agentcore.first") == "2,3"


async def test_the_migrations_of_this_release_apply_to_an_empty_database(empty: str) -> None:
    assert (await migrate(empty)).applied[:1] == ["0001_pre_schema"]
    assert (await migrate(empty)).applied == []


async def test_they_apply_under_an_owner_of_any_name(postgres: Server, empty: str) -> None:
    """Whose name is not the schema's, so that nothing is found there by chance."""
    ask(empty, "CREATE ROLE another SUPERUSER LOGIN PASSWORD 'p'")
    try:
        await migrate(conninfo.make_conninfo(empty, user="another", password="p"))
        made = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert ask(empty, made) == 0
        assert ask(empty, "SELECT count(*) FROM agentcore.instance") == 0
    finally:
        ask(empty, "DROP OWNED BY another")
        ask(empty, "DROP ROLE another")


async def test_a_changed_file_is_refused_before_anything_else_is_applied(empty: str, folder: Path) -> None:
    await migrate(empty, folder)
    write(folder, "0002_post_second", "SELECT 1;")
    write(folder, "0000_pre_earlier", "CREATE TABLE agentcore.earlier (n int);")
    with pytest.raises(StoreStartError, match="0002_post_second was applied in another form"):
        await migrate(empty, folder)
    assert ask(empty, "SELECT to_regclass('agentcore.earlier')") is None


async def test_a_migration_that_fails_leaves_nothing_and_keeps_those_before_it(empty: str, folder: Path) -> None:
    write(folder, "0003_pre_third", "CREATE TABLE agentcore.third (n int); SELECT 1/0;")
    with pytest.raises(StoreStartError, match=r"0003_pre_third failed.*division by zero"):
        await migrate(empty, folder)
    assert ask(empty, APPLIED) == "0001_pre_first 0002_post_second"
    assert ask(empty, "SELECT to_regclass('agentcore.third')") is None


async def test_a_migration_may_not_end_its_transaction(empty: str, folder: Path) -> None:
    write(folder, "0003_pre_third", "COMMIT;")
    with pytest.raises(StoreStartError, match="0003_pre_third ends its transaction"):
        await migrate(empty, folder)
    assert ask(empty, APPLIED) == "0001_pre_first 0002_post_second"


@pytest.mark.parametrize("name", ["0003_third", "3_pre_third", "0002_pre_third"])
async def test_a_file_with_a_wrong_name_is_refused(empty: str, folder: Path, name: str) -> None:
    write(folder, name, "SELECT 1;")
    with pytest.raises(StoreStartError, match="is no migration"):
        await migrate(empty, folder)


async def test_of_two_migrators_one_works(empty: str, folder: Path) -> None:
    write(folder, "0003_pre_third", "SELECT pg_sleep(0.2);")
    done: list[list[str]] = []

    async def one() -> None:
        done.append((await migrate(empty, folder)).applied)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        tasks.start_soon(one)
    assert sorted(map(len, done)) == [0, 3]


async def test_a_lock_that_is_held_is_waited_for_briefly_and_again(
    empty: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE", "SET LOCAL lock_timeout = '20ms'")
    monkeypatch.setattr(runner, "RETRY_S", 0.02)
    await migrate(empty, folder)
    write(folder, "0003_pre_third", "ALTER TABLE agentcore.first ADD COLUMN more int;")
    async with await psycopg.AsyncConnection.connect(empty) as holder:
        await holder.execute("SELECT * FROM agentcore.first")
        with monkeypatch.context() as patch:
            patch.setattr(runner, "TRIES", 2)
            with pytest.raises(StoreStartError, match="0003_pre_third did not get its locks"):
                await migrate(empty, folder)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(migrate, empty, folder)
            await anyio.sleep(0.1)
            await holder.rollback()
    assert ask(empty, "SELECT count(more) FROM agentcore.first") == 0


async def test_another_encoding_is_refused(postgres: Server, folder: Path) -> None:
    for dsn in made(postgres, "ascii", "TEMPLATE template0 ENCODING 'SQL_ASCII'"):
        with pytest.raises(StoreStartError, match="UTF8"):
            await migrate(dsn, folder)


async def test_an_older_server_is_refused(empty: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "OLDEST", 990_000)
    with pytest.raises(StoreStartError, match="or newer"):
        await migrate(empty, folder)


async def test_a_start_asks_for_every_pre_migration_and_for_no_post(empty: str, folder: Path) -> None:
    service = conninfo.make_conninfo(empty, user="agentcore_service")
    with pytest.raises(StoreStartError, match="lacks the migration 0001_pre_first"):
        await check_schema(service, folder)
    await migrate(empty, folder)
    await check_schema(service, folder)
    write(folder, "0003_post_third", "SELECT 1;")
    await check_schema(service, folder)
    write(folder, "0004_pre_fourth", "SELECT 1;")
    with pytest.raises(StoreStartError, match="lacks the migration 0004_pre_fourth"):
        await check_schema(service, folder)


async def test_a_server_that_is_away_is_no_missing_migration(tmp_path: Path) -> None:
    with pytest.raises(StoreStartError, match="does not answer"):
        await check_schema(f"host={tmp_path} dbname=agentcore")


async def test_the_service_may_choose_its_roles_and_owns_nothing(postgres: Server) -> None:
    _, service = postgres.fresh()
    for role in ("agentcore_app", "agentcore_worker"):
        assert ask(service, f"SELECT pg_has_role('{role}', 'MEMBER')") is True
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(service, "SELECT count(*) FROM agentcore.task")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(service, "CREATE TABLE agentcore.mine (n int)")
