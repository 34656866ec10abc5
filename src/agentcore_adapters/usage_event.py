"""Usage events as others read them, however they are sent."""

import msgspec

from agentcore.books import UsageRecorded

TYPE = "usage.recorded"


def body_of(event: UsageRecorded) -> bytes:
    """Write an event as it is posted; decimals are strings."""
    usage, record = event.record.usage, event.record
    data = {
        "tenantId": event.tenant_id,
        "sessionId": event.session_id,
        "taskId": event.task_id,
        "engine": event.engine,
        "call": record.key,
        "outcome": record.outcome.value,
        "providerMessageId": record.provider_message_id,
        "model": usage.model,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cachedInputTokens": usage.cached_input_tokens,
        "cacheWriteInputTokens": usage.cache_write_input_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "audioSeconds": f"{usage.audio_s:f}",
        "costUsd": None if usage.cost_usd is None else f"{usage.cost_usd:f}",
        "fidelity": usage.fidelity.value,
    }
    return msgspec.json.encode({"type": TYPE, "timestamp": event.at.isoformat(), "data": data})
