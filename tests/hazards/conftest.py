"""In the red run (``python -m tests.redrun``) the hazard tests meet a port of the original in the product's place."""

import os

if os.environ.get("AGENTCORE_RED") == "1":
    from tests.redrun.wire import served

    __all__ = ["served"]
