"""``agentcore limits``: what one tenant may, in the store.

Law: it is for whoever runs the installation, so it goes to the database and not through the API.
"""

from collections.abc import Sequence

import anyio

from agentcore.ids import TenantId
from agentcore.limits import NAMES, written
from agentcore_http import wiring
from agentcore_http.auth.identity import TENANT
from agentcore_http.settings import Settings, SettingsError

NOT_SET = "default"


def run(settings: Settings, tenant: str, pairs: Sequence[str]) -> int:
    """Change the limits of *tenant* as *pairs* say (``name=value``, ``name=default``), and print those that hold."""
    if TENANT.fullmatch(tenant) is None:
        raise SettingsError(f"{tenant!r} cannot be a tenant: 1 to 64 letters, digits, dots, dashes or underscores.")
    changes = dict(map(_pair, pairs))
    for line in anyio.run(_changed, settings, TenantId(tenant), changes):
        print(line)  # noqa: T201 - this is the command line
    return 0


def _pair(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if name not in NAMES:
        raise SettingsError(f"{name} is not a limit. Known: {', '.join(sorted(NAMES))}.")
    if not equals:
        raise SettingsError(f"Say {name}=VALUE, or {name}={NOT_SET}.")
    if value == NOT_SET:
        return name, NOT_SET
    try:
        return name, written(name, value)
    except ValueError as error:
        raise SettingsError(f"{name} must be {error}.") from None


async def _changed(settings: Settings, tenant: TenantId, changes: dict[str, object]) -> list[str]:
    async with wiring.stored(settings) as store:
        own = {**(await store.limits()).get(tenant, {}), **changes}
        own = {name: value for name, value in own.items() if value != NOT_SET}
        if changes:
            await store.set_limits(tenant, own)
        said = settings.tenants.get(tenant, {})
        limits = settings.limits.with_own(said).with_own(own)
    return [f"{name} = {_shown(getattr(limits, name))}{_source(name in own, name in said)}" for name in sorted(NAMES)]


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _source(is_own: bool, is_said: bool) -> str:  # noqa: FBT001
    return "  (its own)" if is_own else "  (settings)" if is_said else ""
