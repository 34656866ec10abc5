"""When something is tried again.

Law: nothing here sleeps or sends; it is told what went wrong and answers how long to wait, or raises it.  Every request
of the client may be sent twice: a GET and a PATCH say the same twice, everything else carries an Idempotency-Key.
"""

import random

from attrs import define, field, frozen

from agentcore_http.client.errors import ApiError, Unreachable

LATER = frozenset({429, 502, 503, 504})
UNAUTHENTICATED = 401
SET_UP = frozenset({"engine_unavailable", "stt_unavailable"})  # mended by whoever runs the server, not by waiting
IN_FLIGHT = "idempotency_in_flight"  # our own first try: its answer can be had soon


@frozen(kw_only=True)
class Patience:
    """How often, and how late, something is tried again."""

    tries: int | None = 4  #: In a row without success; None: for ever.
    first_s: float = 0.25  #: The first wait is up to that long, each further one up to twice as long as the last ...
    longest_s: float = 10.0  #: ... and none longer than that; a server that says "later than that" is not waited for.

    def wait_s(self, failures: int, at_least_s: float | None = None) -> float:
        """Return how long to wait after so many failures; chance keeps many clients from coming all at once."""
        most = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return (at_least_s or 0.0) + random.uniform(most / 4, most)  # noqa: S311 - no secret


SOME = Patience()
#: For streams: comes back for ever, soon.
ENDLESS = Patience(tries=None, longest_s=5.0)


@define
class Trying:
    """One thing that is tried."""

    patience: Patience
    renews: bool  #: Whether there is somebody who can be asked for another token.
    failures: int = 0
    _has_renewed: bool = field(default=False, init=False)

    def succeeded(self) -> None:
        """Begin to count anew."""
        self.failures, self._has_renewed = 0, False

    def failed(self, error: ApiError) -> float:
        """Return how many seconds to wait before the next try; raises *error* if there is none."""
        if error.status == UNAUTHENTICATED and self.renews and not self._has_renewed:
            self._has_renewed = True
            return 0.0
        is_later = error.status in LATER and error.code not in SET_UP
        if not (is_later or isinstance(error, Unreachable) or error.code == IN_FLIGHT):
            raise error
        self.failures += 1
        if self.patience.tries is not None and self.failures >= self.patience.tries:
            raise error
        if error.retry_after_s is not None and error.retry_after_s > self.patience.longest_s:
            if self.patience.tries is not None:
                raise error
            return self.patience.wait_s(self.failures, self.patience.longest_s)
        return self.patience.wait_s(self.failures, error.retry_after_s)
