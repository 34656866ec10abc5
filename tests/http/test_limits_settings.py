"""Limits as they are set: in the environment, in the file, for one tenant, and by the command."""

from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.database import Server

from agentcore.ids import TenantId
from agentcore.limits import LONE, NAMES, Limits, read, written
from agentcore_http.__main__ import main
from agentcore_http.settings import Settings, SettingsError, load

FILE = """
[limits]
max_running = 3
tokens_per_day = 1000
[limits.tenants.acme]
max_running = 7
cost_per_day_usd = "2.50"
"""


def test_what_is_not_set_is_the_default() -> None:
    assert Settings(auth="jwt").limits == Settings(auth="gateway").limits == Limits()
    assert load({}).limits == Settings(auth="none").limits == LONE  # nobody has to say who it is
    assert load({"AGENTCORE_LIMITS_USER_SOCKETS": "2"}).limits.user_sockets == 2
    assert load({}).tenants == {}


def test_environment_over_file_over_default(tmp_path: Path) -> None:
    path = tmp_path / "agentcore.toml"
    path.write_text(FILE)
    loaded = load({"AGENTCORE_LIMITS_TOKENS_PER_DAY": "2000", "AGENTCORE_LIMITS_MAX_RUNNING_PER_NODE": "9"}, path)
    assert (loaded.limits.max_running, loaded.limits.tokens_per_day, loaded.limits.max_queued) == (3, 2000, 500)
    assert loaded.limits_max_running_per_node == 9
    acme = loaded.limits.with_own(loaded.tenants[TenantId("acme")])
    assert (acme.max_running, acme.tokens_per_day, acme.cost_per_day_usd) == (7, 2000, Decimal("2.50"))
    assert loaded.limits.max_open == 503


def test_a_limit_can_be_taken_away() -> None:
    loaded = load(
        {"AGENTCORE_LIMITS_STORED_BYTES": "none", "AGENTCORE_LIMITS_TENANTS": "a/max_running=0,b/max_turns=5"}
    )
    assert loaded.limits.stored_bytes is None
    assert loaded.tenants == {"a": {"max_running": "0"}, "b": {"max_turns": "5"}}
    assert Limits().with_own(loaded.tenants[TenantId("a")]).max_running == 0


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("MAX_RUNNING", "-1", "a whole number of 0 or more"),
        ("MAX_RUNNING", "1.5", "a whole number"),
        ("MAX_RUNNING", "none", "a whole number"),
        ("COST_PER_DAY_USD", "nan", "a number of 0 or more, or none"),
        ("TOKENS_PER_DAY", "1e99", "a whole number"),
        ("MAX_RUNNING_PER_NODE", "0", "1 or more"),
        ("TENANTS", "acme", "tenant/limit=number"),
        ("TENANTS", "acme/max_jogging=1", "max_jogging must be one of"),
        ("TENANTS", "acme/max_running=x", "max_running must be a whole number"),
    ],
)
def test_what_cannot_be_is_named(variable: str, value: str, wanted: str) -> None:
    with pytest.raises(SettingsError, match=f"AGENTCORE_LIMITS_{variable} must be .*{wanted}"):
        load({f"AGENTCORE_LIMITS_{variable}": value})


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_limit_is_read_as_it_is_written(name: str) -> None:
    default = getattr(Limits(), name)
    for value in (default, 0, 12):
        if value is not None or read(name, "none") is None:
            assert read(name, written(name, value)) == value
            assert type(read(name, written(name, 3))) is type(read(name, 3))
    for wrong in ("", "x", "-1", True, "inf", "1e16"):
        with pytest.raises(ValueError, match="number of 0 or more"):
            read(name, wrong)


def test_the_command_changes_one_tenant(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", postgres.fresh()[1])
    assert main(["limits", "acme", "max_running=5", "cost_per_day_usd=1.50", "stored_bytes=none"]) == 0
    shown = capsys.readouterr().out
    assert "max_running = 5  (its own)" in shown
    assert "max_queued = 500\n" in shown
    assert main(["limits", "acme", "max_running=default", "max_queued=1"]) == 0
    assert main(["limits", "acme"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("max_queued = 1  (its own)") == 2
    assert "max_running = 50\n" in shown
    assert "cost_per_day_usd = 1.50  (its own)" in shown
    assert "stored_bytes = none  (its own)" in shown
    for wrong, said in (
        ("max_jogging=1", "is not a limit"),
        ("max_running", "=VALUE"),
        ("max_running=x", "whole number"),
    ):
        assert main(["limits", "acme", wrong]) == 2
        assert said in capsys.readouterr().err
    assert main(["limits", "no tenant"]) == 2
