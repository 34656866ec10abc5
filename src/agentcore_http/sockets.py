"""How uvicorn speaks the WebSocket protocol here.

Law: whatever asks for a socket is answered.  A handshake that cannot be read (a header of more than 8 KB, more than 128
of them) is refused by the protocol, and uvicorn 0.54 neither sends that refusal nor closes the connection, so whoever
waited for it would wait for ever, and hold the connection for as long.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class Sockets(WebSocketsSansIOProtocol):
    """uvicorn's, which sends what the protocol has to say of a handshake that it could not read."""

    def data_received(self, data: bytes) -> None:
        """Read on; where nothing can be read, say so and hang up."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
