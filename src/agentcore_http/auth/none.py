"""Mode ``none``: one developer's machine.

Law: nobody is asked who they are; the headers are believed.  So the server answers on loopback only, and only to
requests that name it by a loopback name (``auth.origin``).
"""

from attrs import frozen

from agentcore.caller import Caller
from agentcore.errors import InvalidRequest
from agentcore.ids import TenantId
from agentcore.messages import is_storable
from agentcore_http.auth.identity import SUBJECT_CHARS, TENANT, Headers, Identity


@frozen
class Trusting:
    """Believes ``X-Tenant-Id`` and ``X-User-Id``."""

    mode: str = "none"

    def admit(self, headers: Headers) -> None:
        """Listen to everybody."""

    async def identify(self, headers: Headers) -> Identity:
        """Return who they name, with all roles; raises InvalidRequest if they cannot be names."""
        tenant = headers.get("x-tenant-id") or "default"
        subject = headers.get("x-user-id") or "anonymous"
        if not TENANT.fullmatch(tenant):
            raise InvalidRequest(
                "X-Tenant-Id must be 1 to 64 letters, digits, dots, dashes or underscores.", "X-Tenant-Id"
            )
        if len(subject) > SUBJECT_CHARS or not is_storable(subject):
            raise InvalidRequest("X-User-Id must be at most 200 characters.", "X-User-Id")
        email = headers.get("x-user-email") or None
        return Identity(caller=Caller(tenant_id=TenantId(tenant), subject=subject, email=email))
