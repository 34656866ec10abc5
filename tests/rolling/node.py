"""``agentcore serve`` with short leases, of whichever release is first on the path: ``python -m tests.rolling.node``.

Law: it uses what both releases have, and nothing else of the tests.
"""

import argparse
from functools import partial
from pathlib import Path

from attrs import evolve

from agentcore import __version__
from agentcore.pulse import Periods
from agentcore_adapters.postgres import store
from agentcore_http import serve, settings, wiring

USUAL_S = 15.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ttl", type=float, default=USUAL_S)
    parser.add_argument("--release", required=True, help="the one that it must be")
    options = parser.parse_args()
    if __version__ != options.release:
        raise SystemExit(f"this is {__version__}")
    scale, was = options.ttl / USUAL_S, Periods()
    quicker = partial(Periods, beat=was.beat * scale, expire=was.expire * scale, sweep=was.sweep * scale)
    setattr(wiring, "Periods", quicker)  # noqa: B010 - so that it fits both releases
    setattr(store, "postgres_store", partial(store.postgres_store, lease_ttl_s=options.ttl))  # noqa: B010
    loaded = evolve(settings.load(), data_dir=options.data_dir)
    return serve.run(loaded, wiring.Place(port=options.port))


if __name__ == "__main__":
    raise SystemExit(main())
