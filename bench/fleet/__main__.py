"""The process of a played fleet: `python -m bench.fleet --instances 1000 --rate 1`. See bench/README.md.

Its first line of output is `{"port": …, "addresses": […]}`. Then it answers questions, a line of JSON each:
`{"ask": "gauge"}`, `{"ask": "truths"}`, `{"ask": "spans"}`, `{"ask": "written", "numbers": [3, 7]}`,
`{"ask": "logs", "numbers": [3]}`. It ends with its input.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.fleet.machine import Machine
from bench.fleet.script import Play, script_of
from bench.fleet.ssh import listen

_FIRST_PORT, _LAST_PORT, _TRIES = 20_000, 30_000, 20
_NET = "127.10"
_PER_NET = 200


class Fleet:
    """All instances of this process. In the event loop's thread."""

    def __init__(self, play: Play, net: str = _NET) -> None:
        """`net`: the first half of its addresses."""
        self.machines = [Machine(script_of(play, number), _address(net, number)) for number in range(play.instances)]
        self.port = 0

    async def open(self, key: str | None, port: int) -> None:
        """Listens. Raises OSError where no port is free."""
        dice = random.SystemRandom()
        for left in reversed(range(1 if port else _TRIES)):
            self.port = port or dice.randrange(_FIRST_PORT, _LAST_PORT)
            try:
                self._servers = await listen(self.machines, self.port, key)
                return
            except OSError:
                if not left:
                    raise

    def close(self) -> None:
        """Ends all."""
        for server in self._servers:
            server.close()
        for machine in self.machines:
            machine.close()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """To one question."""
        asks: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "gauge": self._gauge,
            "truths": self._truths,
            "written": self._written,
            "spans": self._spans,
            "logs": self._logs,
        }
        return asks[asked["ask"]](asked)

    def _gauge(self, _asked: dict[str, Any]) -> dict[str, Any]:
        used = os.times()
        runs = [run for machine in self.machines for run in machine.runs.values()]
        return {
            "at": time.monotonic(),
            "processor_seconds": used.user + used.system,
            "memory_kib": _memory_kib(),
            "connections": sum(len(machine.connections) for machine in self.machines),
            "followed": sum(len(run.readers) for run in runs),
            "started": len(runs),
            "running": sum(not run.is_over for run in runs),
            "late": sum(run.late for run in runs),
            "events": sum(len(run.lines) for run in runs),
        }

    def _truths(self, _asked: dict[str, Any]) -> dict[str, Any]:
        return {"truths": [machine.truth() for machine in self.machines]}

    def _spans(self, _asked: dict[str, Any]) -> dict[str, Any]:
        runs = [(number, run) for number, machine in enumerate(self.machines) for run in machine.runs.values()]
        return {"spans": [(number, run.began, run.written[-1] if run.is_over else None) for number, run in runs]}

    def _logs(self, asked: dict[str, Any]) -> dict[str, Any]:
        runs = {number: self.machines[number].first for number in asked["numbers"]}
        return {"logs": {str(number): run.log.decode() for number, run in runs.items() if run is not None}}

    def _written(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for number in asked["numbers"]:
            run = self.machines[number].first
            found[str(number)] = [] if run is None else [round(moment, 4) for moment in run.written]
        return {"written": found}


def _address(net: str, number: int) -> str:
    """Each instance is a host of its own."""
    return f"{net}.{number // _PER_NET}.{1 + number % _PER_NET}"


def _memory_kib() -> int:
    text = Path("/proc/self/status").read_text("ascii", "replace")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))


async def _serve(fleet: Fleet, key: str | None, port: int) -> None:
    await fleet.open(key, port)
    gc.freeze()  # the scripts stay as they are: no collection has to look at them
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    unread = bytearray()

    def read() -> None:
        content = os.read(0, 65536)
        if not content:
            over.set()
            return
        unread.extend(content)
        *lines, rest = bytes(unread).split(b"\n")
        unread[:] = rest
        for line in filter(None, lines):
            _say(fleet.answer(json.loads(line)))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    _say({"port": fleet.port, "addresses": [machine.address for machine in fleet.machines]})
    loop.add_reader(0, read)
    await over.wait()
    loop.remove_reader(0)
    fleet.close()


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Plays until its input ends."""
    asked = _arguments().parse_args(argv)
    play = Play(**{field.name: getattr(asked, field.name) for field in fields(Play)})
    key = asked.key.read_text("ascii") if asked.key else None
    asyncio.run(_serve(Fleet(play, asked.net), key, asked.port))
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--instances", type=int, default=10, help="how many (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is dealt (default 1)")
    parser.add_argument("--rate", type=float, default=1.0, help="events a second of each run; 0: as recorded")
    parser.add_argument("--speed", type=float, default=1.0, help="with --rate 0: so many times as fast")
    parser.add_argument("--events", type=int, default=0, help="how many each run has; 0: as many as its recording")
    parser.add_argument("--drops", type=float, default=0.0, help="share of instances whose line is cut")
    parser.add_argument("--deaths", type=float, default=0.0, help="share whose runner dies")
    parser.add_argument("--silent", type=float, default=0.0, help="share that accepts connections and says nothing")
    parser.add_argument("--fresh", type=float, default=1.0, help="share that has no runner yet")
    parser.add_argument("--port", type=int, default=0, help="at each address; 0: a free one")
    parser.add_argument("--key", type=Path, help="the public key that gets in; by default any does")
    parser.add_argument("--net", default=_NET, help=f"the first half of its addresses (default {_NET}: loopback)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
