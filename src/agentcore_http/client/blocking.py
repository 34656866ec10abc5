"""The client that blocks: ``waiting`` without waiting; one of the two is read, the other compared."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx2

from agentcore_http.client import calls
from agentcore_http.client.call import Call, Pages
from agentcore_http.client.calls import TaskOptions
from agentcore_http.client.errors import ApiError, Unreachable
from agentcore_http.client.following import EventReader, Exchange, Export, Following, is_over
from agentcore_http.client.patience import ENDLESS, SOME, Patience, Trying
from agentcore_http.client.shell import (
    USUAL,
    Lost,
    Options,
    Said,
    Timeouts,
    blocking,
    blocking_pages,
    check_stream,
    lost,
    refusal,
    request_of,
)
from agentcore_http.client.values import Event, Result

T = TypeVar("T")
Token = Callable[[], str]
NOT_FOUND = 404


class Client:
    """Talks to one server; use it in ``with``, or call ``close``.

    What can be tried again is (see Patience), under the same Idempotency-Key. Every method raises ApiError.
    """

    def __init__(
        self,
        url: str,
        *,
        tenant: str | None = None,
        user: str | None = None,
        token: str | Token | None = None,
        timeouts: Timeouts = USUAL,
        patience: Patience = SOME,
    ) -> None:
        """Talk to *url*, the server's base address.

        *token*: the bearer token, or what is asked for it before each request, and once more if it was refused.
        """
        self._options = Options(url=url, tenant=tenant, user=user, timeouts=timeouts, patience=patience)
        self._token = token
        self._http = httpx2.Client(base_url=self._options.base, headers=self._options.headers)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    create_task = blocking(calls.create_task)
    get_task = blocking(calls.get_task)
    cancel_task = blocking(calls.cancel_task)
    inject = blocking(calls.inject)
    approve = blocking(calls.approve)
    reject = blocking(calls.reject)
    sessions = blocking_pages(calls.sessions)
    get_session = blocking(calls.get_session)
    rename_session = blocking(calls.rename_session)
    close_session = blocking(calls.close_session)
    messages = blocking_pages(calls.messages)
    tasks = blocking_pages(calls.tasks)
    latest = blocking(calls.latest)
    engines = blocking(calls.engines)
    switch_engine = blocking(calls.switch_engine)
    transcribe = blocking(calls.transcribe)
    speak = blocking(calls.speak)

    def events(
        self,
        session_id: str,
        after: str | None = None,
        *,
        include_all: bool = False,
        patience: Patience = ENDLESS,
        on_lost: Lost | None = None,
    ) -> Generator[Event, None, None]:
        """Yield the events of a session after a cursor; without one from the first, with ``latest`` the coming ones.

        A connection that breaks, or says nothing for too long, is picked up exactly where it broke; *on_lost* is told.
        Each connection begins with ``subscribed``. After ``stream_reset`` what was read no longer holds: go on from
        its snapshot. *include_all*: tools and thinking of a voice session, too. Raises ApiError:
        ``session_not_found``, and what broke the connection when *patience* is over. Close it (``closing``) if you
        leave it early.
        """
        following = Following(session_id, after, include_all, self._trying(patience))
        while True:
            broke: ApiError = Unreachable("The stream has ended.")
            try:
                with self._open(following.call(self._options.timeouts.idle_s)) as pieces:
                    reader = EventReader()
                    for piece in pieces:
                        for event in reader.feed(piece):
                            following.told(event)
                            yield event
            except ApiError as error:
                broke = error
            except httpx2.HTTPError as error:
                broke = lost(error)
            pause_s = following.trying.failed(broke)
            if on_lost is not None:
                on_lost(broke, pause_s)
            time.sleep(pause_s)

    def follow(
        self, session_id: str, task_id: str, after: str | None = None, *, on_lost: Lost | None = None
    ) -> Generator[Event, None, None]:
        """Yield the events of one task up to its last, and what is told of the stream itself (``stream_reset``)."""
        with closing(self._follow(Exchange(session_id, task_id), after, on_lost)) as events:
            for event in events:
                yield event

    def run(
        self, prompt: str, session_id: str | None = None, *, on_event: Said | None = None, **more: Unpack[TaskOptions]
    ) -> Result:
        """Ask something and wait for what becomes of it; *more* is what ``create_task`` takes.

        *on_event* is told what happens meanwhile, as a call that waits for a decision (``approval_required``), which
        somebody has to take. Raises ApiError as ``create_task`` does; a task that fails is a Result.
        """
        after = self._place(session_id)
        task = self.create_task(prompt, session_id, **more)
        exchange = Exchange(task.session_id, task.task_id)
        start = None if task.session_created else after
        with closing(self._follow(exchange, start, None)) as events:
            for event in events:
                if on_event is not None:
                    on_event(event)
        history = [m for m in self.messages(task.session_id)] if exchange.was_reset else []
        return Result(text=exchange.text(history), task=self.get_task(task.task_id))

    def export(self, session_id: str) -> Generator[dict[str, Any], None, None]:
        """Yield all that a session holds. Raises ApiError: ``session_not_found``, ``export_cut`` if it is not whole."""
        taken = Export()
        try:
            with self._open(calls.export(session_id, idle_s=self._options.timeouts.read_s)) as pieces:
                for piece in pieces:
                    for line in taken.feed(piece):
                        yield line
        except httpx2.HTTPError as error:
            raise lost(error) from None
        taken.check()

    def send(self, call: Call[T]) -> T:
        """Send a request until it is answered, or patience is over."""
        trying = self._trying(self._options.patience)
        while True:
            try:
                request = request_of(self._http, call, self._bearer(), self._options.timeouts)
                response = self._http.send(request)
            except httpx2.HTTPError as error:
                pause_s = trying.failed(lost(error))
            else:
                if response.is_success:
                    return call.answer(response.status_code, response.content)
                pause_s = trying.failed(refusal(response))
            time.sleep(pause_s)

    def listed(self, pages: Pages[T]) -> Iterator[T]:
        """Yield what is on all pages."""
        cursor: str | None = None
        while True:
            page = self.send(pages.call(cursor))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    def _follow(self, exchange: Exchange, after: str | None, on_lost: Lost | None) -> Generator[Event, None, None]:
        with closing(self.events(exchange.session_id, after, include_all=True, on_lost=on_lost)) as events:
            for event in events:
                if not exchange.takes(event):
                    continue
                yield event
                if event.is_final:
                    return
                if event.type == "stream_reset" and is_over(self.get_task(exchange.task_id)):
                    return  # its end was before that place

    def _place(self, session_id: str | None) -> str | None:
        """Return where a session's log ends, if it has one: what is told of a prompt comes after it."""
        if session_id is None:
            return None
        try:
            return self.latest(session_id)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    @contextmanager
    def _open(self, call: Call[None]) -> Iterator[Iterator[bytes]]:
        request = request_of(self._http, call, self._bearer(), self._options.timeouts)
        response = self._http.send(request, stream=True)
        try:
            if not response.is_success:
                response.read()
                raise refusal(response)
            check_stream(response)
            yield response.iter_bytes()
        finally:
            response.close()

    def _bearer(self) -> str | None:
        return self._token() if callable(self._token) else self._token

    def _trying(self, patience: Patience) -> Trying:
        return Trying(patience, callable(self._token))
