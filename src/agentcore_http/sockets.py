"""How uvicorn speaks the WebSocket protocol here.

Law: whatever asks for a socket is answered.  A handshake that cannot be read (a header of more than 8 KB, more than 128
of them) is refused by the protocol, and uvicorn 0.54 neither sends that refusal nor closes the connection, so whoever
waited for it would wait for ever, and hold the connection for as long.

Story: an application may say many frames in one message, if the scope names this extension of ASGI: a log of thousands
of events is otherwise a way through the whole stack, and a write to the socket, for each.  And it may write them
itself, past the stack and without a limit of time, as long as nobody has to wait: ``extensions[FRAMES]["now"]``.
"""

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

BYTES = 64 * 1024  # that are written at once, as many as a transport takes before it asks for patience
FRAMES = "agentcore.frames"  #: The extension, and the key of a ``websocket.send`` under which its frames stand.


class Sockets(WebSocketsSansIOProtocol):
    """uvicorn's, which sends what the protocol has to say of a handshake that it could not read."""

    def data_received(self, data: bytes) -> None:
        """Read on; where nothing can be read, say so and hang up."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    async def run_asgi(self) -> None:
        """Name the extension."""
        self.scope["extensions"][FRAMES] = {"now": self.send_now}
        await super().run_asgi()

    def send_now(self, frames: Sequence[bytes]) -> bool:
        """Write *frames*; False: nothing was written, as the client is behind or has gone, or they are too many."""
        is_open = self.handshake_complete and not self.close_sent and not self.disconnected
        if not is_open or not self.writable.is_set() or sum(map(len, frames)) > BYTES:
            return False
        try:
            for frame in frames:
                self.conn.send_text(frame)
        except InvalidState:  # the first of them has met it
            return False
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    async def send(self, message: Any) -> None:  # noqa: ANN401 - what ASGI calls an event
        """Send what the application says."""
        frames: Sequence[bytes] = message.get(FRAMES, ())
        if not frames or not self.handshake_complete or self.close_sent:
            return await super().send(message)
        size = 0
        try:
            for place, frame in enumerate(frames, 1):
                self.conn.send_text(frame)
                size += len(frame)
                if size >= BYTES or place == len(frames):
                    await self._write()
                    size = 0
        except InvalidState:
            raise ClientDisconnected from None

    async def _write(self) -> None:
        """Write what the protocol has ready, when the client has taken most of what was written before."""
        await self.writable.wait()
        if self.disconnected:
            raise ClientDisconnected
        self.transport.write(b"".join(self.conn.data_to_send()))
