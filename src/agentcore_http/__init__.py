"""The server: HTTP, WebSocket and SSE over the runtime, the command line, and the wiring."""
