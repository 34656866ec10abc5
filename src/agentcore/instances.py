"""Where a remote agent lives, and whose it is.

Law: an instance belongs to one subject of one tenant; for everybody else there is none.  Nothing secret stands in it.
"""

from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen

from agentcore.errors import InstanceNotRunning
from agentcore.ids import EngineName, InstanceId, TenantId

ENGINE = EngineName("openclaw")  # the engine that reaches a remote agent through its bridge


class InstanceStatus(StrEnum):
    """What its owner says of it."""

    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"


@frozen(kw_only=True)
class Instance:
    """A remote agent behind a bridge."""

    id: InstanceId
    tenant_id: TenantId
    owner: str  #: Subject.
    name: str
    host: str | None  #: Name or address of its bridge, as the allow-list spells it.
    port: int | None
    created_at: datetime
    updated_at: datetime
    status: InstanceStatus = InstanceStatus.RUNNING
    version: int = 1  #: +1 with each stored change.

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of its bridge; raises InstanceNotRunning if it cannot be asked."""
        if self.status is not InstanceStatus.RUNNING:
            raise InstanceNotRunning(f"The instance is {self.status.value}; it must be running to take a prompt.")
        if self.host is None or self.port is None:
            raise InstanceNotRunning("The instance has no serverHost and hostPort yet.")
        return self.host, self.port

    def changed(
        self,
        at: datetime,
        *,
        name: str | None = None,
        host: str | None = None,
        port: int | None = None,
        status: InstanceStatus | None = None,
    ) -> "Instance":
        """Change what is given, and step one version on."""
        return evolve(
            self,
            name=self.name if name is None else name,
            host=self.host if host is None else host,
            port=self.port if port is None else port,
            status=status or self.status,
            updated_at=at,
            version=self.version + 1,
        )
