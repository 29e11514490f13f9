"""Does to a cluster what was dealt, and starts again what was killed, as systemd does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from app.standin.errors import StandInError
from bench.cluster.cluster import Cluster
from bench.cluster.host import Line, PlayedHost
from bench.cluster.member import Member, MemberEnded
from bench.cluster.prove.faults import Fault, Kind

_AGAIN_SECONDS, _UP_SECONDS, _LOOK_SECONDS = 1.0, 120.0, 0.5
_LINES = {Kind.AWAY: tuple(Line), Kind.NO_DATABASE: (Line.DATABASE,)}


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that happened. `at`: after the starts; `seconds`: until all was there again; `running`: installs then."""

    at: float
    kind: str
    member: str
    seconds: float
    running: int


class Strikes:
    """Each fault in a thread of its own; two of one member go one after the other."""

    def __init__(self, cluster: Cluster, host: PlayedHost | None, say: Callable[[str], None]) -> None:
        """`say`: called with a line for each fault."""
        self.struck: list[Struck] = []
        self.wrong: list[str] = []
        self._cluster = cluster
        self._host = host
        self._say = say
        self._busy = {member.name: threading.Lock() for member in cluster.members}
        self._database = threading.Lock()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._threads: list[threading.Thread] = []
        self._began = 0.0

    def begin(self, faults: Sequence[Fault]) -> None:
        """Counts from now."""
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._play, args=(fault,), daemon=True) for fault in faults]
        for thread in [self._keeper, *self._threads]:
            thread.start()

    def wait(self) -> None:
        """Until all have happened, and everything is there again."""
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Nothing happens any more, nobody looks after the members, and none is started."""
        self._over.set()
        for thread in [self._keeper, *self._threads]:
            thread.join()

    def _play(self, fault: Fault) -> None:
        self._over.wait(max(0.0, self._began + fault.at - time.monotonic()))
        try:
            with ExitStack() as held:
                name = self._held(fault, held)
                if self._over.is_set():
                    return
                at, running = time.monotonic(), int(self._cluster.fleet.gauge()["running"])
                self._strike(fault, name)
                now = time.monotonic()
            struck = Struck(round(at - self._began, 1), str(fault.kind), name, round(now - at, 1), running)
            self.struck.append(struck)
            told = f"{struck.at:6.1f} s  {struck.kind:<36}{struck.member:<13}"
            self._say(f"{told}{running:>3} installs ran; there again after {struck.seconds:.1f} s")
        except (MemberEnded, StandInError, OSError) as exc:
            self.wrong.append(f"{fault.kind} at {fault.at:g} s: {exc}")

    def _held(self, fault: Fault, held: ExitStack) -> str:
        """The part that it happens to, which is for this thread now; its name."""
        if fault.kind is Kind.DATABASE:
            held.enter_context(self._database)
            return "postgresql"
        member = self._member(fault)
        held.enter_context(self._busy[member.name])
        return member.name

    def _member(self, fault: Fault) -> Member:
        if fault.kind in _LINES:
            return self._cluster.workers[-1]
        members = self._cluster.web if fault.kind is Kind.WEB else self._cluster.workers
        return members[fault.member % len(members)]

    def _strike(self, fault: Fault, name: str) -> None:
        if fault.kind is Kind.DATABASE:
            self._cluster.postgresql.kill()
            self._over.wait(fault.seconds)
            self._cluster.postgresql.start()
            return
        member = next(member for member in self._cluster.members if member.name == name)
        if fault.kind is Kind.FROZEN:
            os.kill(member.pid, signal.SIGSTOP)
            self._over.wait(fault.seconds)
            os.kill(member.pid, signal.SIGCONT)
        elif fault.kind in _LINES and self._host is not None:
            self._host.cut(_LINES[fault.kind])
            self._over.wait(fault.seconds)
            self._host.mend(_LINES[fault.kind])
        else:
            member.kill()
            self._up(member)

    def _up(self, member: Member) -> None:
        """Starts it until it stays: while PostgreSQL is away none does. Raises MemberEnded."""
        port, until = int(member.url.rpartition(":")[2] or 0), time.monotonic() + _UP_SECONDS
        while not self._over.is_set():
            try:
                member.start(port)
                member.ready()
                return
            except MemberEnded:
                member.wait()
                if time.monotonic() > until:
                    raise
                self._over.wait(_AGAIN_SECONDS)

    def _keep(self) -> None:
        """A member that nobody has killed does not end."""
        while not self._over.wait(_LOOK_SECONDS):
            for member in self._cluster.members:
                if not self._busy[member.name].acquire(blocking=False):
                    continue
                try:
                    if member.status is not None:
                        self.wrong.append(f"{member.name} has ended by itself ({member.status})\n{member.last_lines()}")
                        member.wait()
                        self._up(member)
                except MemberEnded as exc:
                    self.wrong.append(str(exc))
                finally:
                    self._busy[member.name].release()

    def to_json(self) -> list[dict[str, object]]:
        """The faults, by their moments."""
        return [asdict(each) for each in sorted(self.struck, key=lambda each: each.at)]
