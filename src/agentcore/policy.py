"""Which tools there are for a task, and which calls need a person.

Law: a tool that a rule of the server denies exists for nobody; a tenant's rules stand before the server's others; what
a request asks for narrows them and never widens them.
A restriction says what exists: whether a call runs by itself is the rule's business alone.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from attrs import evolve, field, frozen

from agentcore.errors import ToolNotAllowed
from agentcore.ids import TenantId

APPROVAL_S = 3600.0


class Rule(StrEnum):
    """What becomes of a call."""

    AUTO = "auto"  #: It runs.
    ASK = "ask"  #: It runs when a person has approved it.
    DENY = "deny"  #: It does not run, and the tool is not offered.


@frozen(kw_only=True)
class Policy:
    """The rules of one server, by tool: ``<server>.<tool>``, or ``<server>.*`` for those of one server."""

    default: Rule = Rule.ASK
    rules: Mapping[str, Rule] = field(factory=dict)
    approval_s: float = APPROVAL_S  #: Seconds that a person has to decide.
    four_eyes: bool = False  #: Who asked for a task may not decide what it waits for.
    tenants: Mapping[TenantId, Mapping[str, Rule]] = field(factory=dict)  #: Rules of their own; ``*``: of all tools.
    own: Mapping[str, Rule] = field(factory=dict)  #: Those of the tenant whose policy this is.

    def of(self, tenant: TenantId) -> "Policy":
        """Return the policy of one tenant."""
        if not self.tenants and not self.own:
            return self
        return evolve(self, own=self.tenants.get(tenant, {}), tenants={})

    def rule(self, tool: str) -> Rule:
        """Return the rule of a tool: its own, else its server's, else the default."""
        server = f"{tool.partition('.')[0]}.*"
        common = self.rules.get(tool) or self.rules.get(server)
        if common is Rule.DENY:
            return common
        return self.own.get(tool) or self.own.get(server) or self.own.get("*") or common or self.default

    def allows(self, tool: str, requested: Sequence[str] | None) -> bool:
        """Tell whether a task that asked for *requested* has a tool; None asks for all there are."""
        return self.rule(tool) is not Rule.DENY and (requested is None or tool in requested)

    def check(self, requested: Sequence[str] | None) -> None:
        """Raise ToolNotAllowed if a request asks for what is denied.

        A name that no rule denies is fine whether or not there is such a tool now: its server may be starting, or
        the engine may have tools of its own.
        """
        for tool in requested or ():
            if self.rule(tool) is Rule.DENY:
                raise ToolNotAllowed(f"The tool {tool} is not allowed here.", "allowedTools")
