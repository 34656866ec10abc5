"""What can go wrong for a client.

Law: one class, ``ApiError``, whatever was refused; its code is stable.  No text of a server that is no problem of ours
(a proxy's page) gets into an error.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

NO_STATUS = 0


class ApiError(Exception):
    """The server has refused; the text is the problem's detail."""

    def __init__(self, status: int, code: str, detail: str, retry_after_s: float | None = None) -> None:
        """Keep what the problem says."""
        super().__init__(detail)
        self.status = status  #: Of HTTP; 0 if there was no answer.
        self.code = code  #: Stable, for programs.
        self.detail = detail
        self.retry_after_s = retry_after_s  #: When it may be tried again, if the server says so.


class Unreachable(ApiError):
    """There was no answer, or it broke off."""

    def __init__(self, detail: str) -> None:
        """Say what happened to the connection."""
        super().__init__(NO_STATUS, "unreachable", detail)


class Problem(Struct):
    """What is read of a problem."""

    code: str
    detail: str


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """Read a refusal."""
    after = headers.get("retry-after", "")
    retry_after_s = float(after) if after.isascii() and after.isdigit() else None
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ApiError(status, "http_error", f"The server answered {status}.", retry_after_s)
    return ApiError(status, problem.code, problem.detail, retry_after_s)


def not_understood(status: int = NO_STATUS) -> ApiError:
    """Say that an answer is none of ours."""
    return ApiError(
        status, "not_understood", "The answer cannot be read: is there an agentcore server at this address?"
    )
