"""Who counts against a limit is bounded by places, and counted only where that bound is not enough."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from tests.support import guarded

addresses, owner = guarded.addresses, guarded.owner
PLACES = 16
FAR = 1000


@contextmanager
def counting(addresses: tuple[str, str], most: int = FAR, kind: str = "both") -> Iterator[tuple[int, ...]]:
    """Count in a transaction of its own and hold it."""
    with psycopg.connect(addresses[0]) as connection:
        connection.execute("SET search_path = agentcore")
        connection.execute("SET LOCAL lock_timeout = '300ms'")
        yield asked(connection, most, kind)
        connection.rollback()


def asked(connection: psycopg.Connection[Any], most: int, kind: str) -> tuple[int, ...]:
    if kind == "both":
        row = connection.execute("SELECT * FROM count_both('a', %s, %s, false)", [most + 1, most + 1]).fetchone()
    else:
        row = connection.execute("SELECT * FROM count_tasks(%s, 'a', %s, false)", [kind, most + 1]).fetchone()
    assert row is not None
    return tuple(row)


@pytest.mark.usefixtures("owner")
def test_far_from_a_limit_there_are_as_many_beside_as_there_are_places(addresses: tuple[str, str]) -> None:
    with counting(addresses) as both, counting(addresses, kind="open") as open_:
        assert both == (PLACES, 2, PLACES, 1)
        assert open_ == (PLACES, 2)


@pytest.mark.usefixtures("owner")
def test_near_a_limit_who_is_beside_is_counted(addresses: tuple[str, str]) -> None:
    with counting(addresses, most=10) as first, counting(addresses, most=10) as second:
        assert (first, second) == ((1, 2, 1, 1), (2, 2, 2, 1))
        with counting(addresses, most=10, kind="running") as third:
            assert third == (3, 1)
        with counting(addresses, most=10, kind="open") as third:
            assert third == (3, 2)


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(("most", "is_near"), [(1 + PLACES, True), (2 + PLACES, False)])
def test_it_is_near_where_the_places_do_not_fit_any_more(
    addresses: tuple[str, str], most: int, *, is_near: bool
) -> None:
    with counting(addresses, most, "open") as (beside, stored):
        assert (beside, stored) == (1 if is_near else PLACES, 2)


@pytest.mark.usefixtures("owner")
def test_who_finds_no_place_waits_for_one(addresses: tuple[str, str]) -> None:
    with ExitStack() as stack:
        for _ in range(PLACES):
            stack.enter_context(counting(addresses))
        with pytest.raises(pg.LockNotAvailable), counting(addresses):
            pytest.fail("there is none")
    with counting(addresses) as both:
        assert both == (PLACES, 2, PLACES, 1)
