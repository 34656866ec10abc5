"""The table ``[limits]``: what tenants may use, as the settings say.

Law: a limit is set under its own name; what is not set is the default of ``agentcore.limits``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, fields, frozen, make_class

from agentcore.gate import MOST
from agentcore.ids import TenantId
from agentcore.limits import COMMON, LONE, Limits, Own, read

TABLE = "limits"


def _reader(name: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        read(name, value)
        return value

    return check


def _default(value: object) -> str:
    return "no limit" if value is None else f"{value:,}".removesuffix(".0")


def _where(name: str) -> str:
    return " (none if `auth` is `none`)" if getattr(LONE, name) != getattr(COMMON, name) else ""


def _own(pairs: Mapping[str, object]) -> dict[str, object]:
    for name, value in pairs.items():
        try:
            read(name, value)
        except ValueError as error:
            raise ValueError(f"limits by name: {name} must be {error}") from None
    return dict(pairs)


def tenants_limits(value: object) -> dict[str, dict[str, object]]:
    """Read the limits that some tenants have of their own: tables, or ``acme/max_running=5`` with commas between."""
    if isinstance(value, dict):
        if not all(isinstance(own, dict) for own in value.values()):
            raise ValueError("a table of limits for each tenant")
        return {tenant: _own(own) for tenant, own in value.items()}
    found: dict[str, dict[str, object]] = {}
    for word in str(value).split(","):
        tenant, slash, pair = word.strip().partition("/")
        name, equals, text = pair.partition("=")
        if not (slash and equals and tenant):
            raise ValueError("tenant/limit=number, with commas between")
        found.setdefault(tenant.strip(), {}).update(_own({name.strip(): text.strip()}))
    return found


def _number_of_tasks(value: object) -> int:
    number = int(str(value)) if str(value).isdigit() else 0
    if number < 1:
        raise ValueError("a whole number of 1 or more")
    return number


def _setting(read_: Callable[[object], Any], doc: str) -> Any:  # noqa: ANN401 - attrs fields are untyped
    return field(default=None, metadata={"read": read_, "doc": doc, "env": None, "table": TABLE, "secret": False})


_SET = {
    f"{TABLE}_{one.name}": _setting(
        _reader(one.name), f"{one.metadata['doc'].removesuffix('.')}; {_default(one.default)}{_where(one.name)}."
    )
    for one in fields(Limits)
}
_Each = make_class("_Each", _SET, frozen=True, kw_only=True)


@frozen(kw_only=True)
class LimitSettings(_Each):  # type: ignore[misc,valid-type]  # a class made at run time
    """Limits of all tenants, and of some; None: the default."""

    limits_max_running_per_node: int | None = _setting(
        _number_of_tasks, f"Tasks of all tenants that this node drives at a time; {MOST:,}."
    )
    limits_tenants: dict[str, dict[str, object]] | None = _setting(
        tenants_limits,
        "Limits of one tenant, in place of those of all. In the variable: `acme/max_running=5,acme/max_queued=20`.",
    )

    @property
    def limits(self) -> Limits:
        """The limits of a tenant of which nothing else is said."""
        named = {one.name: getattr(self, f"{TABLE}_{one.name}") for one in fields(Limits)}
        base = LONE if self.auth in {None, "none"} else COMMON
        return base.with_own({name: value for name, value in named.items() if value is not None})

    @property
    def tenants(self) -> dict[TenantId, Own]:
        """What is said of some tenants."""
        return {TenantId(tenant): own for tenant, own in (self.limits_tenants or {}).items()}
