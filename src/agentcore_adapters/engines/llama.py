"""A llama.cpp server for one model, in a child process.

Law: the child has nothing but the model; it dies with its owner, at once, also under a live stream.  (In our own
process its start and stop hold the interpreter for up to half a second, and a stop under a live stream has frozen
it for thirty, which is longer than a lease lives.)

The settings that are not defaults, and why: threads spin, so one; the prompt cache would take 8 GB; CORS would allow
any page; ``/slots`` would show other people's prompts; without an alias every answer carries the path of the file.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
from attrs import define, field, frozen

from agentcore.errors import EngineUnavailable
from agentcore_adapters.wheels import WheelsUnavailable, checked

CONTEXT_TOKENS = 2048
READY_S = 60.0
STOP_S = 5.0


@frozen
class Address:
    """Where the model listens."""

    base_url: str
    api_key: str = field(repr=False)


@define(eq=False)
class LlamaHost:
    """Owns the child; starts it on first use, and again if it has died."""

    model: Path
    model_name: str = "smollm2-135m"
    sha256: str | None = None  #: Of the file, if it is pinned; another one is not loaded.
    _child: "subprocess.Popen[bytes] | None" = None
    _address: Address | None = None
    _starting: anyio.Lock = field(factory=anyio.Lock)

    async def start(self) -> Address:
        """Return the address of a server that answers; raises EngineUnavailable if it does not start."""
        async with self._starting:
            if self._child is not None and self._child.poll() is None and self._address is not None:
                return self._address
            await self._must_be_the_pinned_one()
            token = secrets.token_urlsafe(24)
            # From the main thread: the parent-death signal comes when the thread ends that started the child.
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "agentcore_adapters.engines.llama", str(self.model), self.model_name],
                env={"PATH": os.environ.get("PATH", os.defpath), "LLAMA_TOKEN": token, "LC_ALL": "C.UTF-8"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            output = self._child.stdout
            line = b""
            if output is not None:
                with anyio.move_on_after(READY_S):
                    line = await anyio.to_thread.run_sync(output.readline, abandon_on_cancel=True)
            if not line:
                await self.stop()
                raise EngineUnavailable("The local model could not be loaded; check AGENTCORE_LOCAL_MODEL.")
            self._address = Address(json.loads(line)["url"] + "/v1", token)
            return self._address

    async def _must_be_the_pinned_one(self) -> None:
        if self.sha256 is None:
            return
        try:
            await anyio.to_thread.run_sync(checked, self.model, self.sha256)
        except (OSError, WheelsUnavailable):
            raise EngineUnavailable(
                f"The weights {self.model.name} in the data dir are not the pinned ones; remove them, and they are "
                "fetched again when the server starts."
            ) from None

    async def stop(self) -> None:
        """Stop the child, if it runs."""
        child, self._child, self._address = self._child, None, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        with anyio.move_on_after(STOP_S, shield=True):
            while child.poll() is None:
                await anyio.sleep(0.01)
            return
        with suppress(ProcessLookupError):
            child.kill()
        child.wait()


def serve(model: str, name: str) -> None:
    """Serve *model* until standard input is closed: what the child does."""
    import xllamacpp  # noqa: PLC0415 - an extra

    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = model, {name}
    params.n_ctx, params.n_parallel, params.warmup, params.cache_ram_mib = CONTEXT_TOKENS, 1, False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [os.environ["LLAMA_TOKEN"]]
    params.use_jinja, params.offline, params.verbosity = True, True, -1
    params.ui = params.endpoint_slots = params.cors_credentials = False
    params.cors_origins, params.sse_ping_interval = "", 1
    server = xllamacpp.Server(params)
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    sys.stdin.read()  # ends when the owner closes it, or is gone
    os._exit(0)  # without unwinding: dropping a server under a live stream can hang


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
