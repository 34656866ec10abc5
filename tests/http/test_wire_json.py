"""JSON as it leaves."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agentcore_http.wire.json import timestamp

AT = datetime(2026, 12, 1, 4, 5, 6, 78_999, tzinfo=UTC)


@pytest.mark.parametrize("minutes", [330, -480, 0])
def test_a_time_is_written_in_utc_to_the_millisecond(minutes: int) -> None:
    at = AT + timedelta(days=minutes)  # each another: the same time is written once
    assert timestamp(at.astimezone(timezone(timedelta(minutes=minutes)))) == f"{at:%Y-%m-%d}T04:05:06.078Z"


def test_a_whole_second_is_written_as_long_as_any() -> None:
    assert timestamp(AT.replace(microsecond=0)) == "2026-12-01T04:05:06.000Z"
