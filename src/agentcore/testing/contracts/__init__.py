"""One suite per port: inherit it, give it a fixture, and your adapter is held to the port's promises."""

from agentcore.testing.contracts.books import BooksContract
from agentcore.testing.contracts.bus import BusContract
from agentcore.testing.contracts.callback_engine import CallbackEngineContract
from agentcore.testing.contracts.engine import EngineContract
from agentcore.testing.contracts.instances import InstancesContract
from agentcore.testing.contracts.keys import KeysContract
from agentcore.testing.contracts.leases import LeasesContract
from agentcore.testing.contracts.limits import LimitsContract
from agentcore.testing.contracts.reading import ReadingContract
from agentcore.testing.contracts.sink import SinkContract
from agentcore.testing.contracts.store import StoreContract

__all__ = [
    "BooksContract",
    "BusContract",
    "CallbackEngineContract",
    "EngineContract",
    "InstancesContract",
    "KeysContract",
    "LeasesContract",
    "LimitsContract",
    "ReadingContract",
    "SinkContract",
    "StoreContract",
]
