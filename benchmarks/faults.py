"""What a server does when things go wrong; one line of JSON for each target.

Each run has deltas 20 ms apart, and something happens when the client has 50 of them:

    join        a second client attaches: does it get all?
    disconnect  the client goes away: does the run go on, what does a client get that comes back, is the text stored?
    cancel      how long until the stub sees its connection closed (median and worst of several), is the text stored?
    kill9       a whole turn, SIGKILL after 3 s of the next, and a start on the same storage: what is left?

    python -m benchmarks.faults --targets agentcore:openai-ws,agno:bg --cancels 20
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import uvloop
from attrs import define
from benchmarks.compare import end_on_signal, parser
from benchmarks.load import Load, stub_and_load
from benchmarks.meter import MARK, NOW, percentile
from benchmarks.target import NotSupportedError, Target, load

AT, LATE, SPACING_MS = 50, 150, 20.0
ABSENT = "not offered"
Row = dict[str, Any]


@define(eq=False)
class Faults:
    """Tries one target that runs."""

    load: Load
    target: Target
    cancels: int = 1
    settle_s: float = 20.0

    async def try_(self, name: str) -> Row:
        """Try one scenario."""
        of: dict[str, Callable[[], Awaitable[Row]]] = {
            "join": self.join,
            "disconnect": self.disconnect,
            "cancel": self.cancel,
            "kill9": self.kill,
        }
        return await of[name]()

    async def join(self) -> Row:
        """Attach a second client."""
        session = await self.target.create_session()
        call, prompt = self.load.prompt(200, SPACING_MS)
        first = asyncio.create_task(_texts(self.target.run(session, prompt)))
        await self._under_way(call)
        row: Row = {"second_client": ABSENT}
        with suppress(NotSupportedError):
            row["second_client"] = _span(await _texts(self.target.attach(session)))
        row["first_client"] = _span(await first)
        return row

    async def disconnect(self) -> Row:
        """Go away in the middle, and come back."""
        session = await self.target.create_session()
        call, prompt = self.load.prompt(200, SPACING_MS)
        await _texts(self.target.run(session, prompt), upto=AT)
        left = NOW()
        await asyncio.sleep(0.5)
        row: Row = {"back": ABSENT}
        with suppress(NotSupportedError):
            row["back"] = _span(await _texts(self.target.attach(session), limit_s=12))
        seen = await self._over(call)
        if seen["done"]:
            row["run"] = "goes on to its end"
        elif seen["t_closed"]:
            row["run"] = f"stopped after {(seen['t_closed'] - left) / 1e6:.0f} ms"
        else:
            row["run"] = "hangs"
        await asyncio.sleep(1)
        return row | await self._left(session, seen)

    async def cancel(self) -> Row:
        """Cancel in the middle."""
        taken: list[float] = []
        row: Row = {}
        for _ in range(self.cancels):
            session = await self.target.create_session()
            call, prompt = self.load.prompt(1000, SPACING_MS)
            reader = asyncio.create_task(_texts(self.target.run(session, prompt), limit_s=30))
            await self._under_way(call)
            began = NOW()
            try:
                await self.target.cancel(session)
            except NotSupportedError:
                reader.cancel()
                return {"cancel": ABSENT}
            row = {"answered_ms": (NOW() - began) / 1e6}
            await asyncio.gather(reader, return_exceptions=True)
            row["client_ended_ms"] = (NOW() - began) / 1e6
            seen = await self._over(call)
            if not seen["t_closed"]:
                return row | {"closed": "never: the provider's stream ran to its end"}
            taken.append((seen["t_closed"] - began) / 1e6)
            await asyncio.sleep(0.2)
        row |= {"closed_ms_p50": percentile(taken, 50), "closed_ms_p99": percentile(taken, 99), "n": len(taken)}
        return row | await self._left(session, seen)

    async def kill(self) -> Row:
        """Kill the server in the middle of the second turn, and start it again."""
        session = await self.target.create_session()
        whole = (await self.load.calls((await self.load.run(self.target, session, 5)).id))[0]
        call, prompt = self.load.prompt(200, SPACING_MS)
        reader = asyncio.create_task(_texts(self.target.run(session, prompt), limit_s=30))
        await self._under_way(call, LATE)
        await self.target.kill()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        row: Row = {"restart_s": await self.target.start(fresh=False)}
        await asyncio.sleep(1)
        row["whole_turn_stored"] = await self._stored(session, whole)
        until = time.monotonic() + self.settle_s
        while time.monotonic() < until and len(await self.load.calls(call)) < 2:
            await asyncio.sleep(0.5)
        calls = await self.load.calls(call)
        row["taken_up_again"] = len(calls) > 1
        return row | await self._left(session, calls[0])

    async def _under_way(self, call: str, deltas: int = AT) -> None:
        for _ in range(500):
            await asyncio.sleep(0.02)
            seen = await self.load.calls(call)
            if seen and seen[0]["n_sent"] >= deltas:
                return
        raise RuntimeError("The run did not begin.")

    async def _over(self, call: str) -> Row:
        for _ in range(250):
            seen = (await self.load.calls(call))[0]
            if seen["done"] or seen["t_closed"]:
                break
            await asyncio.sleep(0.1)
        return seen

    async def _left(self, session: str, call: Row) -> Row:
        """Say what is left of a run, and whether the session takes a new one."""
        row: Row = {"stored": await self._stored(session, call), "status": ABSENT}
        with suppress(NotSupportedError):
            row["status"] = await self.target.status(session)
        try:
            ran = await self.load.run(self.target, session, 3, limit_s=30)
        except Exception as error:  # noqa: BLE001 - what a server does is what is asked
            return row | {"new_run": f"refused: {error!r}"[:200]}
        return row | {"new_run": f"{ran.meter.seen} of 3 deltas, {ran.ms:.0f} ms"}

    async def _stored(self, session: str, call: Row) -> str:
        """Say how many of a call's deltas are in the stored conversation; their stamps tell them apart."""
        try:
            text = await self.target.history(session)
        except NotSupportedError:
            return ABSENT
        found = {stamp for stamp, _ in MARK.findall(text) if call["t_first"] <= int(stamp) <= call["t_last"]}
        return f"{len(found)} of {call['n_sent']}"


async def _texts(pieces: AsyncIterator[str], upto: int = 0, limit_s: float = 60.0) -> list[int]:
    """Return the numbers of the deltas that came; stop after *upto*, which closes the connection."""
    text, found = "", list[int]()
    with suppress(Exception):  # a run that was cancelled or cut may end with an error: what came counts
        async with asyncio.timeout(limit_s):
            async for piece in pieces:
                text += piece
                found = [int(number) for _, number in MARK.findall(text)]
                if upto and len(found) >= upto:
                    break
    if (close := getattr(pieces, "aclose", None)) is not None:
        await close()
    return found


def _span(numbers: Sequence[int]) -> str:
    different = sorted(set(numbers))
    if not different:
        return "nothing"
    twice = len(numbers) - len(different)
    return f"{len(different)} (#{different[0]} to #{different[-1]})" + (f", {twice} twice" if twice else "")


async def run(options: argparse.Namespace) -> None:
    """Do what was asked."""
    end_on_signal()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    async with stub_and_load(options.stub_port) as load_:
        for place, name in enumerate(options.targets.split(",")):
            target = load(name, options.port + place, load_.stub_url)
            faults = Faults(load_, target, options.cancels, options.settle)
            row: Row = {"target": target.label, "time": time.time()}
            try:
                await target.start(fresh=True)
                await load_.run(target, await target.create_session(), 3)
                for scenario in options.scenarios.split(","):
                    try:
                        row[scenario] = await faults.try_(scenario)
                    except Exception as error:  # noqa: BLE001 - one scenario of one target; the others go on
                        row[scenario] = {"failed": repr(error)[:300]}
            finally:
                await target.stop()
            print(json.dumps(row, indent=1), flush=True)
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    options = parser(__doc__, port=9500, out="faults.jsonl")
    options.add_argument("--scenarios", default="join,disconnect,cancel,kill9")
    options.add_argument("--cancels", type=int, default=1, help="how often the scenario cancel is tried")
    options.add_argument("--settle", type=float, default=20, help="seconds to watch a server that was started again")
    with suppress(asyncio.CancelledError):  # by a signal, after what was started was stopped
        uvloop.run(run(options.parse_args(arguments)))


if __name__ == "__main__":
    main()
