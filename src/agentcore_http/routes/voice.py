"""What people say: /transcribe, and voice messages."""

from litestar import Response, post
from litestar.params import FromPath

from agentcore.asking import Accepted, Ask
from agentcore.changes import Receipt
from agentcore.errors import SpeechNotDetected
from agentcore_http.idempotency import Keeper, once
from agentcore_http.routes.context import Req, caller_of, runtime_of, settings_of
from agentcore_http.routes.openapi import uploading
from agentcore_http.routes.tasks import DEFAULT_DEADLINE_S, known_session
from agentcore_http.uploads import BODY_BYTES, recording
from agentcore_http.wire import answers, shapes

CREATED = 201


@post("/transcribe", operation_class=uploading(), request_max_body_size=BODY_BYTES)
async def transcribe(request: Req) -> Response[bytes]:
    """Return what is said in a recording; nothing, if nobody speaks."""
    caller, runtime = caller_of(request), runtime_of(request)
    async with recording(request) as upload:

        async def work(_: Keeper) -> tuple[int, object]:
            speech = await runtime.voice.hear(caller, upload.path, upload.language)
            return CREATED, answers.heard(speech)

        return await once(runtime, caller, request, work, digest=upload.sha256)


@post("/sessions/{session_id:str}/voice-message", operation_class=uploading(), request_max_body_size=BODY_BYTES)
async def speak(request: Req, session_id: FromPath[str]) -> Response[bytes]:
    """Answer what is said in a recording; a live task is stopped for it, once it is known that somebody has spoken."""
    caller, runtime = caller_of(request), runtime_of(request)
    async with recording(request) as upload:

        async def work(keeper: Keeper) -> tuple[int, object]:
            speech = await runtime.voice.hear(caller, upload.path, upload.language)
            if not speech.text:
                raise SpeechNotDetected("Nobody has said anything in this recording, so nothing was stopped or begun.")

            def answer(accepted: Accepted) -> shapes.SpokenAnswer:
                return shapes.SpokenAnswer(
                    session_id=accepted.session_id,
                    task_id=accepted.task_id,
                    transcript=speech.text,
                    session_created=accepted.session_created,
                )

            def keep(accepted: Accepted) -> Receipt | None:
                return keeper.receipt(CREATED, answer(accepted))

            deadline_s = settings_of(request).deadline_seconds or DEFAULT_DEADLINE_S
            ask = Ask(text=speech.text, voice_mode=True, deadline_s=deadline_s)
            accepted = await runtime.speak(caller, known_session(session_id), ask, keep=keep)
            return CREATED, answer(accepted)

        return await once(runtime, caller, request, work, digest=upload.sha256)


HANDLERS = (transcribe, speak)
