"""What an engine is told before it begins.

Law: it is read from the store at the start of the attempt, each message once; everything else was resolved when
the task was submitted.  An engine that keeps conversations goes on with its own, and is told what that does not know;
the history is for when it has lost it.
"""

from collections.abc import Sequence

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
    limit = params.max_context_messages
    if history is None:
        history = await store.history(task.tenant_id, task.session_id, limit)
    shown = window(history, limit=limit, budget=engine.abilities.context_tokens)
    called = {part.tool_use_id for message in shown for part in message.parts if isinstance(part, ToolUsePart)}
    decisions = tuple(approval for approval in turn.approvals if not approval.is_pending)
    messages = rendered(shown, goes_on=all(decision.tool_use_id in called for decision in decisions))
    resume, news = await _resumed(store, engine, turn, history)
    hashes = {part.sha256 for message in (*messages, *news) for part in message.parts if isinstance(part, FilePart)}
    return EngineRequest(
        tenant_id=task.tenant_id,
        session_id=task.session_id,
        task_id=task.id,
        attempt=task.attempt,
        system_prompt=params.system_prompt,
        messages=messages,
        blobs=await store.blobs(task.tenant_id, sorted(hashes)) if hashes else {},
        max_turns=params.max_turns,
        allowed_tools=params.allowed_tools,
        model=params.model,
        decisions=decisions,
        turns=turn.calls,
        deadline=task.deadline,
        instance=await _instance(store, task.tenant_id, params.instance) if params.instance else None,
        resume=resume,
        untold=news,
    )


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
