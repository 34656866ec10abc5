"""Guards that are an order of two statements, or a number, and so have no shape to be found by.

Law: each says what it breaks and replaces text of one module; a text that is not there any more is an error.
"""

from attrs import frozen


@frozen
class Plant:
    """One replacement."""

    module: str
    what: str
    old: str
    new: str


PLANTS = (
    Plant(
        "agentcore.relay",
        "an event leaves the outbox before its receiver has it",
        "tried = await self._publish(delivery)",
        "await self.books.tried([Tried(tenant_id=delivery.event.tenant_id, event_id=delivery.event.id)])\n"
        "            tried = await self._publish(delivery)",
    ),
    Plant(
        "agentcore.relay",
        "what could not be marked is lost",
        "except Unavailable:",
        "except KeyError:",
    ),
    Plant(
        "agentcore.follow",
        "text that was shown is shown again",
        "max(self.shown, entry.position)",
        "entry.position",
    ),
    Plant(
        "agentcore.follow",
        "the live offset is off by one",
        "live.text[self.shown - live.start :]",
        "live.text[self.shown - live.start + 1 :]",
    ),
    Plant(
        "agentcore.turn",
        "what was told is counted from the durable end",
        "return self.tail[-1].end if self.tail else self.position",
        "return self.position",
    ),
    Plant(
        "agentcore.lane",
        "a lane is forgotten before it follows up",
        "self.__enter__()  # _follow_up",
        "self.users += 0  # _follow_up",
    ),
    Plant(
        "agentcore.reading",
        "a turn is kept before it is stored",
        "            tried[changes.id] = (turn, changes)\n",
        "            tried[changes.id] = (turn, changes)\n            self.turn = turn\n",
    ),
    Plant(
        "agentcore.reading",
        "the last change is forgotten",
        "self._change = changes.id if not changes.is_text_only else self._change",
        "self._change = None",
    ),
    Plant(
        "agentcore_adapters.memory.leases",
        "an epoch is given twice",
        "hold.epoch += 1",
        "hold.epoch += 0",
    ),
    Plant(
        "agentcore_adapters.memory.state",
        "a refused commit leaves half of it",
        "shelf = stored.copy()",
        "shelf = stored",
    ),
    Plant(
        "agentcore_adapters.postgres.writer",
        "the lease is looked at after the versions",
        "        raise Fenced(",
        "        raise Stale(",
    ),
)
