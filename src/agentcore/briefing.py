"""What an engine is told before it begins.

Law: it is read from the store at the start of the attempt, each message once; everything else was resolved when
the task was submitted.  An engine that keeps conversations goes on with its own, and is told what that does not know;
the history is for when it has lost it.
"""

from collections.abc import Iterable, Sequence

from attrs import evolve

from agentcore.changes import Conversation
from agentcore.context import rendered, untold, window
from agentcore.engine import Engine, EngineRequest
from agentcore.errors import InstanceNotFound
from agentcore.ids import InstanceId, TenantId
from agentcore.instances import Instance
from agentcore.messages import FilePart, Message, ToolUsePart
from agentcore.ports import Store
from agentcore.turn import Turn


async def engine_request(
    store: Store, engine: Engine, turn: Turn, history: Sequence[Message] | None = None
) -> EngineRequest:
    """Put together what *engine* needs to answer the task of *turn*; *history*: if it was read already.

    Raises ContextTooLarge if the prompt alone is more than the engine can be shown.
    """
    task, params = turn.task, turn.task.params
    if history is None:
        history = await store.history(task.tenant_id, task.session_id, params.max_context_messages)
    request = _request(engine, turn, history)
    resume, news = await _resumed(store, engine, turn, history)
    hashes = _files((*request.messages, *news))
    return evolve(
        request,
        blobs=await store.blobs(task.tenant_id, sorted(hashes)) if hashes else {},
        instance=await _instance(store, task.tenant_id, params.instance) if params.instance else None,
        resume=resume,
        untold=news,
    )


def plain_request(engine: Engine, turn: Turn, history: Sequence[Message]) -> EngineRequest | None:
    """Put it together at once; None if more has to be read for it.

    Raises ContextTooLarge, as ``engine_request`` does.
    """
    if engine.abilities.resume or turn.task.params.instance:
        return None
    request = _request(engine, turn, history)
    return None if _files(request.messages) else request


def _request(engine: Engine, turn: Turn, history: Sequence[Message]) -> EngineRequest:
    task, params = turn.task, turn.task.params
    shown = window(history, limit=params.max_context_messages, budget=engine.abilities.context_tokens)
    called = {part.tool_use_id for message in shown for part in message.parts if isinstance(part, ToolUsePart)}
    decisions = tuple(approval for approval in turn.approvals if not approval.is_pending)
    messages = rendered(shown, goes_on=all(decision.tool_use_id in called for decision in decisions))
    return EngineRequest(
        tenant_id=task.tenant_id,
        session_id=task.session_id,
        task_id=task.id,
        attempt=task.attempt,
        system_prompt=params.system_prompt,
        messages=messages,
        blobs={},
        max_turns=params.max_turns,
        allowed_tools=params.allowed_tools,
        model=params.model,
        decisions=decisions,
        turns=turn.calls,
        deadline=task.deadline,
    )


def _files(messages: Iterable[Message]) -> set[str]:
    return {part.sha256 for message in messages for part in message.parts if isinstance(part, FilePart)}


async def _instance(store: Store, tenant: TenantId, instance_id: InstanceId) -> Instance | None:
    try:
        return await store.instance(tenant, instance_id)
    except InstanceNotFound:
        return None


async def _resumed(
    store: Store, engine: Engine, turn: Turn, history: Sequence[Message]
) -> tuple[Conversation | None, tuple[Message, ...]]:
    if not engine.abilities.resume:
        return None, ()
    conversation = await store.conversation(turn.task.tenant_id, turn.task.session_id, engine.name)
    if conversation is None:
        return None, ()
    limit, budget = turn.task.params.max_context_messages, engine.abilities.context_tokens
    return conversation, rendered(untold(history, conversation.knows, limit=limit, budget=budget))
