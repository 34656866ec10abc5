"""The original controller's logic, flaws in their places: POST tasks, DELETE, inject, approve, engines/switch.

Law: this is a port, not a model: the same reads and writes in the same order, the same checks and the same missing
ones.  What no test asks for is left out: speech, instances of remote agents, token decoding, native resume.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from hashlib import sha256
from typing import Any

import structlog
from attrs import define, field
from litestar.exceptions import ClientException, NotFoundException, PermissionDeniedException

from agentcore.engine import EngineRequest
from agentcore.messages import FilePart, Message, Role, TextPart
from agentcore_adapters.memory.clock import SystemClock
from tests.redrun.engines import Engine, EngineRegistry, make_message, make_request
from tests.redrun.tables import Database, Gateway, Json, MessageRow, Repository, Session, Task, UsageRow

HIDDEN_FROM_VOICE = {"thinking", "tool_use", "tool_result"}
LOOP = object()  # marks the writes of a stream loop, for tests that make those fail
CLEAN_UP_S = 3.0
CUT = "\n[中断]"
log = structlog.get_logger("original")


@define(eq=False)
class Controller:
    """One process of the original."""

    registry: EngineRegistry
    gateway: Gateway = field(factory=Gateway)
    clock: SystemClock = field(factory=SystemClock)
    store: Database = field(factory=Database)
    background: set[asyncio.Task[None]] = field(factory=set)
    running: dict[str, asyncio.Task[None]] = field(
        factory=dict
    )  #: Stream loops, so that their clean-up can be awaited.
    sessions: Repository[Session] = field(init=False)
    tasks: Repository[Task] = field(init=False)
    messages: Repository[MessageRow] = field(init=False)
    usage: Repository[UsageRow] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sessions, self.tasks = Repository(self.store), Repository(self.store)
        self.messages, self.usage = Repository(self.store), Repository(self.store)

    # ------------------------------------------------------------------------------------------------------- routes
    async def execute_task(self, tenant: str, body: Json) -> Json:
        chosen = body.get("engineType")
        engine = self.registry.switch_engine(chosen) if chosen else self.registry.get_active_engine()
        is_voice = bool(body.get("voiceMode"))
        session: Session | None = None
        if body.get("sessionId"):
            existing = await self.sessions.find(body["sessionId"])
            if existing and existing.status == "active" and existing.tenant_id == tenant:
                session = existing
        if session is None:
            session = self._new_session(tenant, engine.engine_type, body.get("systemPrompt"), is_voice=is_voice)
        if not session.metadata.get("title") and not session.metadata.get("titleSet"):
            title = "" if is_voice else body["prompt"][:40].strip()
            session.metadata = {**session.metadata, "voiceMode": is_voice, "title": title, "titleSet": True}
        await self._keep_active(session)

        running = await self._running_of(session.id)
        if running:
            with suppress(Exception):  # the original: .catch(() => {})
                await engine.cancel_task(session.id)
            running.status = "cancelled"
            running.completed_at = self.clock.now()
            await self.tasks.save(running)
            await self._await_clean_up(running.id)

        task = self._new_task(tenant, session.id, body["prompt"])
        await self.tasks.save(task)
        await self._save_message(session.id, Role.USER, body["prompt"], body.get("attachments"))
        limit = body.get("maxContextMessages")
        history = await self._load_context(session.id, 20 if limit is None else limit)
        if not body.get("attachments"):
            history = history[:-1]
        request = make_request(
            session.id,
            body["prompt"],
            history,
            system_prompt=body.get("systemPrompt") or f"You are an agent of {tenant}. Your session is {session.id}.",
            allowed_tools=body.get("allowedTools") or [],
            max_turns=body.get("maxTurns") or 10,
        )
        self._run_task_stream(engine, session, task, request, is_voice=is_voice)
        return {"sessionId": session.id, "taskId": task.id}

    async def cancel_task(self, tenant: str, task_id: str) -> Json:
        task = await self._task_of(tenant, task_id)
        if task.status in {"cancelled", "completed"}:
            return {"message": "Task already finished", "taskId": task_id}
        session = await self._session_of(task)
        engine = self.registry.switch_engine(session.engine_type)
        await engine.cancel_task(session.id)
        task.status = "cancelled"
        task.completed_at = self.clock.now()
        await self.tasks.save(task)
        await self._keep_active(session)
        event = {"type": "cancelled", "message": "Task cancelled by user", "code": "USER_CANCEL"}
        self.gateway.emit(session.id, event, task.id)
        return {"message": "Task cancelled", "taskId": task_id}

    async def inject_message(self, tenant: str, task_id: str, body: Json) -> Json:
        if not (body.get("message") or "").strip():
            raise ClientException("Message is required")
        current = await self._task_of(tenant, task_id)
        session = await self._session_of(current)
        engine = self.registry.switch_engine(session.engine_type)
        await engine.cancel_task(session.id)
        current.status = "cancelled"
        current.completed_at = self.clock.now()
        await self.tasks.save(current)
        event = {"type": "cancelled", "message": "Interrupted by user injection", "code": "USER_INJECT"}
        self.gateway.emit(session.id, event, current.id)
        await self._keep_active(session)
        await self._await_clean_up(task_id)
        await self._save_message(session.id, Role.USER, body["message"])
        task = self._new_task(tenant, session.id, body["message"])
        await self.tasks.save(task)
        history = await self._load_context(session.id, 20)
        self.gateway.emit(session.id, {"type": "task_info", "taskId": task.id}, task.id)
        request = make_request(session.id, body["message"], history[:-1], system_prompt=session.system_prompt or "")
        self._run_task_stream(engine, session, task, request)
        return {"sessionId": session.id, "taskId": task.id, "injected": True}

    async def approve_command(self, tenant: str, task_id: str, body: Json) -> Json:
        task = await self._task_of(tenant, task_id)
        if task.status != "awaiting_approval":
            raise ClientException(f"Task {task_id} is not awaiting approval (current status: {task.status})")
        session = await self._session_of(task)
        engine = self.registry.switch_engine(session.engine_type)
        if body.get("approved"):
            task.status = "running"
            await self.tasks.save(task)
            self._fire_and_forget(self._continue(engine, session, task))
            return {"message": "Command approved", "taskId": task_id}
        task.status = "cancelled"
        task.completed_at = self.clock.now()
        await self.tasks.save(task)
        await engine.cancel_task(session.id)
        await self._keep_active(session)
        event = {"type": "cancelled", "message": "Command rejected by user", "code": "USER_REJECT"}
        self.gateway.emit(session.id, event, task.id)
        return {"message": "Command rejected", "taskId": task_id}

    async def switch_engine(self, body: Json) -> Json:
        engine = self.registry.switch_engine(body["engineType"])
        return {"message": "Engine switched", "engineType": engine.engine_type}

    # -------------------------------------------------------------------------------------------------------- loops
    def _run_task_stream(
        self, engine: Engine, session: Session, task: Task, request: EngineRequest, *, is_voice: bool = False
    ) -> None:
        self.gateway.begins(session.id, task.id)
        self.gateway.engine_of[task.id] = engine.engine_type
        loop = self._fire_and_forget(self._stream(engine, session, task, request, is_voice=is_voice))
        self.running[task.id] = loop
        loop.add_done_callback(lambda _: self.running.pop(task.id, None))

    async def _stream(
        self, engine: Engine, session: Session, task: Task, request: EngineRequest, *, is_voice: bool
    ) -> None:
        finished = False
        texts: list[str] = []
        try:
            log.info("starting", task=task.id, session=session.id, prompt=task.prompt[:80])
            async with aclosing(engine.execute_task(request)) as stream:
                async for event in stream:
                    if not (is_voice and event["type"] in HIDDEN_FROM_VOICE):
                        self.gateway.emit(session.id, event, task.id)
                    if event["type"] == "text":
                        texts.append(event["content"])
                    if event["type"] == "completed" and not finished:
                        finished = True
                        await self._completed(session, task, event, texts)
                        self._fire_and_forget(self._record_usage(task, event))
                    if event["type"] == "error" and not finished:
                        finished = True
                        await self._failed(session, task, event["message"])
                    if event["type"] == "approval_required":
                        task.status = "awaiting_approval"
                        await self.tasks.save(task, LOOP)
        except Exception as error:  # noqa: BLE001 - the original catches everything here
            if not finished:
                await self._failed(session, task, str(error))
                event = {"type": "error", "message": str(error), "code": "EXECUTION_ERROR"}
                self.gateway.emit(session.id, event, task.id)
        finally:
            if not finished and texts:
                await self._save_message(session.id, Role.ASSISTANT, "".join(texts) + CUT)

    async def _continue(self, engine: Engine, session: Session, task: Task) -> None:
        texts: list[str] = []
        try:
            async with aclosing(engine.continue_session(session.id)) as stream:
                async for event in stream:
                    self.gateway.emit(session.id, event, task.id)
                    if event["type"] == "text":
                        texts.append(event["content"])
                    if event["type"] == "completed":
                        await self._completed(session, task, event, texts)
                    if event["type"] == "error":
                        await self._failed(session, task, event["message"])
                    if event["type"] == "approval_required":
                        task.status = "awaiting_approval"
                        await self.tasks.save(task, LOOP)
        except Exception as error:  # noqa: BLE001 - the original catches everything here
            await self._failed(session, task, str(error))

    async def _completed(self, session: Session, task: Task, event: Json, texts: list[str]) -> None:
        task.status, task.result, task.tokens_used = "completed", event["summary"], event["tokensUsed"]
        task.completed_at = self.clock.now()
        await self.tasks.save(task, LOOP)
        text = "".join(texts) or event["summary"]
        if text:
            await self._save_message(session.id, Role.ASSISTANT, text)
        session.updated_at = self.clock.now()
        await self.sessions.save(session, LOOP)

    async def _failed(self, session: Session, task: Task, message: str) -> None:
        task.status, task.result, task.completed_at = "failed", message, self.clock.now()
        await self.tasks.save(task, LOOP)
        session.status, session.updated_at = "error", self.clock.now()
        await self.sessions.save(session, LOOP)

    async def _record_usage(self, task: Task, event: Json) -> None:
        if event["tokensUsed"] == 0:
            return
        counts = {"input_tokens": event["inputTokens"], "output_tokens": event["outputTokens"]}
        await self.usage.save(UsageRow(task_id=task.id, **counts))

    async def _await_clean_up(self, task_id: str) -> None:
        loop = self.running.get(task_id)
        if loop:
            await asyncio.wait([loop], timeout=CLEAN_UP_S)

    def _fire_and_forget(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self.background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # An unhandled rejection ends the process, and with it everything that runs there.
            for other in self.background:
                other.cancel()

    async def end(self) -> None:
        """End the process."""
        for task in self.background:
            task.cancel()
        if self.background:
            await asyncio.wait(self.background, timeout=5)

    # ------------------------------------------------------------------------------------------------------ helpers
    async def _task_of(self, tenant: str, task_id: str) -> Task:
        task = await self.tasks.find(task_id)
        if task is None:
            raise NotFoundException(f"Task {task_id} not found")
        if task.tenant_id != tenant:
            raise PermissionDeniedException("Task does not belong to this tenant")
        return task

    async def _session_of(self, task: Task) -> Session:
        session = await self.sessions.find(task.session_id)
        if session is None:
            raise NotFoundException(f"Session {task.session_id} not found")
        return session

    async def _running_of(self, session_id: str) -> Task | None:
        found = [t for t in await self.tasks.all() if (t.session_id, t.status) == (session_id, "running")]
        return found[0] if found else None

    async def _keep_active(self, session: Session) -> None:
        session.status, session.updated_at = "active", self.clock.now()
        await self.sessions.save(session)

    def _new_session(self, tenant: str, engine_type: str, system_prompt: str | None, *, is_voice: bool) -> Session:
        return Session(
            tenant_id=tenant,
            engine_type=engine_type,
            system_prompt=system_prompt,
            metadata={"voiceMode": is_voice},
            updated_at=self.clock.now(),
        )

    def _new_task(self, tenant: str, session_id: str, prompt: str) -> Task:
        return Task(tenant_id=tenant, session_id=session_id, prompt=prompt, created_at=self.clock.now())

    async def _save_message(
        self, session_id: str, role: Role, text: str, attachments: list[Json] | None = None
    ) -> None:
        files = [_file(attachment) for attachment in attachments or []]
        shown = make_message(role, (*files, TextPart(text)))
        await self.messages.save(MessageRow(session_id=session_id, shown=shown))

    async def _load_context(self, session_id: str, limit: int) -> list[Message]:
        return [row.shown for row in await self.messages.all() if row.session_id == session_id][-limit:]


def _file(attachment: Json) -> FilePart:
    data = attachment["base64Data"].encode()
    return FilePart(media_type=attachment.get("mediaType") or "", sha256=sha256(data).hexdigest(), size=len(data))
