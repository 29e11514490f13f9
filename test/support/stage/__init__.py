"""A stage for pages: a real service whose tasks are played from events, without an instance.

The service is `run.py serve` in a process of its own. Live tasks come to it over SSH from a played machine
(`machine.Machine`); those of the past are folded by the real recorder and stored. See TESTING.md.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paramiko

from app.protocol.event_body import Body
from app.protocol.events import GivenUp
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from test.support.service import ROOT, ServiceProcess
from test.support.stage.history import History
from test.support.stage.machine import Machine
from test.support.stage.packs import Played
from test.support.stage.packs import played as played_packs
from test.support.stage.run import Run
from test.support.stage.scenario import restart, rollback, scenario
from test.support.stage.story import Scenario
from test.support.waiting import wait_until

__all__ = ["Machine", "Run", "Scenario", "Stage", "restart", "rollback", "scenario"]

_NAMES = ("ssh6.vast.ai", "ssh4.vast.ai", "ssh9.vast.ai", "ssh2.vast.ai", "213.173.105.12", "ssh7.vast.ai")

_MOST_PACKS = 400


class Stage:
    """A service and the machines that it reaches; a context manager. For one thread.

    The service starts when it is asked for, so that what is told of the past before that costs no restart."""

    def __init__(
        self, folder: Path, *, port: int = 0, tree: Path = ROOT, runner_sha256: str = "", **settings: str
    ) -> None:
        """`port`: of the service, 0 for a free one; `settings`: the service's; `tree`: of another checkout, whose
        service it is, and `runner_sha256` the hash of its runner."""
        self._opened = ExitStack()
        self._port = port
        self._runner_sha256 = runner_sha256
        self._numbers = itertools.count()
        self.machines: dict[str, Machine] = {}
        self._where: dict[str, Machine] = {}
        self._service = ServiceProcess(folder, tree=tree, **settings)  # type: ignore[arg-type]
        _make_key(self._service.home)
        self._history: History | None = None
        self._held_back: list[Callable[[], None]] | None = None

    def __enter__(self) -> Self:
        self._opened.callback(self._service.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for machine in self.machines.values():
            machine.close()
        if self._history is not None:
            self._history.close()
        self._opened.close()

    @property
    def service(self) -> ServiceProcess:
        """What users talk to."""
        if not self._service.url:
            self._service.start(self._port)
        return self._service

    @property
    def url(self) -> str:
        """Where the service answers."""
        return self.service.url

    @property
    def history(self) -> History:
        """What writes the past."""
        if self._history is None:
            self._history = History(self._service.data_dir)
        return self._history

    def machine(self, name: str = "") -> Machine:
        """A machine that can be reached; by default one with the name of the next."""
        name = name or self._next_name()
        if name not in self.machines:
            made = Machine(name, self._runner_sha256)
            self._opened.enter_context(made.server)
            self.machines[name] = made
            _note_hosts(self._service.home, self.machines.values())
        return self.machines[name]

    def _next_name(self) -> str:
        number = next(self._numbers)
        return _NAMES[number] if number < len(_NAMES) else f"ssh{number + 10}.vast.ai"

    # -- live tasks --------------------------------------------------------------------------------------------------

    def live(
        self,
        played: Scenario | None = None,
        *,
        speed: float = 0.0,
        until: str | float | None = None,
        ago: float | None = None,
        machine: Machine | None = None,
        **request: Any,
    ) -> str:
        """A task that a service starts now; its task_id, once its run has begun.

        `speed`: how many seconds of the scenario pass in a second; 0: it stands still, at `until`, and the test plays
        it. `ago`: it was started so many seconds ago, and the service has been restarted since; `request`: fields of
        the request."""
        played, machine = played or scenario(), machine or self.machine()
        if ago is not None:
            return self._long_since(played, machine, ago, played.until(until or 0.0), speed)
        task_id = self.start(played, speed=speed, machine=machine, **request)
        self._where[task_id] = machine
        run = machine.started(task_id)
        if until is not None:
            self.play(task_id, until)
        return run.task_id

    def start(self, played: Scenario, *, speed: float = 0.0, machine: Machine, **request: Any) -> str:
        """As `live`, without waiting for the run's begin: the machine may be out of reach, or busy."""
        machine.prepare(played, speed)
        options = {**played.options, **request.pop("options", {})}
        task_id = self.service.install(machine.command, manifest=played.manifest(), options=options, **request)
        self._where[task_id] = machine
        return task_id

    def _long_since(self, played: Scenario, machine: Machine, ago: float, until: float, speed: float) -> str:
        record = self.history.record(played, machine.command, _instance(machine), at=time.time() - ago, of={})
        self.history.add(record)
        lines = self.history.fold(record, played, until=until)
        run = Run(record.task_id, played)
        run.recall(lines, until)
        machine.runs[record.task_id] = run
        self._where[record.task_id] = machine

        def goes_on() -> None:
            assert run.wait(lambda each: each.is_followed, 30), "the task does not go on"
            wait_until(lambda: self.service.progress(record.task_id)["state"] == "running", 30, "the task goes on")
            if speed:
                run.play_on(speed)

        with self.one_restart():
            assert self._held_back is not None
            self._held_back.append(goes_on)
        return record.task_id

    @contextmanager
    def one_restart(self) -> Iterator[None]:
        """For all tasks of the block that were started some time ago: they go on when it ends."""
        if self._held_back is not None:  # somebody's further out
            yield
            return
        self._held_back = []
        try:
            yield
            if self._service.url:
                self.restart_service()
            assert self.service.url
            for goes_on in self._held_back:
                goes_on()
        finally:
            self._held_back = None

    def run(self, task_id: str) -> Run:
        """The run of a live task."""
        return self._where[task_id].started(task_id)

    def machine_of(self, task_id: str) -> Machine:
        """Where a live task is."""
        return self._where[task_id]

    def play(self, task_id: str, until: str | float) -> None:
        """Plays a task up to a mark or second of its scenario, at once; the service has seen all of it then."""
        run = self.run(task_id)
        run.play(until)
        self.seen(task_id)

    def emit(self, task_id: str, *bodies: Body) -> None:
        """These events happen now; the service has seen them then."""
        self.run(task_id).emit(*bodies)
        self.seen(task_id)

    def seen(self, task_id: str, timeout: float = 20.0) -> None:
        """Waits until the service has folded all that there is: polls show the newest revision then."""
        count = len(self.run(task_id).lines)

        def is_seen() -> bool:
            journal, revision = self.history.folded(task_id)
            return journal >= count and int(self.service.progress(task_id)["revision"]) >= revision

        wait_until(is_seen, timeout, f"{count} events of {task_id} were seen")

    def restart_service(self) -> None:
        """The service is killed, and starts again at the same port."""
        port = int(self.url.rpartition(":")[2].strip("/"))
        self.service.kill()
        self.service.start(port)

    # -- the past ----------------------------------------------------------------------------------------------------

    def ended(
        self,
        played: Scenario | None = None,
        *,
        ago: float = 600.0,
        machine: Machine | str = "",
        lost: bool = False,
        run_id: str | None = None,
        **of: str,
    ) -> str:
        """A task that has ended; its task_id. It began `ago` seconds ago. `machine`: a played one, or the name of one
        that is gone; `lost`: its runner died in the middle; `of`: the task that it follows, as `retry_of`,
        `rollback_of` or `restart_of`, whose run it joins; `run_id`: of the workflow that it belongs to."""
        played, known = played or scenario(), {"run_id": run_id} if run_id else {}
        record = self.history.record(played, *_address(machine), at=time.time() - ago, of=of, **known)
        self.history.add(record)
        if lost:
            error = Problem("runner_lost", "The program that installs has ended without a word.")
            self.history.fold(record, played, until=played.seconds / 2, given_up=GivenUp(TaskState.FAILED, error))
        else:
            self.history.fold(record, played)
        if isinstance(machine, Machine):
            machine.runs[record.task_id] = Run(record.task_id, played)
            self._where[record.task_id] = machine
        return record.task_id

    def failed_of(self, task_id: str) -> tuple[Played, ...]:
        """The packs of a task that failed: what a retry of it installs."""
        failed = self.history.failed_of(task_id)
        return tuple(pack for pack in played_packs(_MOST_PACKS) if pack.name in failed)

    def ended_fleet(self, *played: Scenario, ago: float = 600.0) -> tuple[str, list[str]]:
        """A fleet whose installs have ended, one a machine; its id and theirs."""
        at = time.time() - ago
        records = [
            self.history.record(each, *_address(_NAMES[place]), at=at + place / 100, of={})
            for place, each in enumerate(played)
        ]
        fleet_id = self.history.add_fleet(records, at)
        for record, each in zip(records, played, strict=True):
            self.history.fold(record, each)
        return fleet_id, [record.task_id for record in records]

    def ended_workflow(self, played: Scenario | None = None, *, restarted: bool = True, ago: float = 600.0) -> str:
        """A workflow that has ended; its id."""
        played, workflow_id = played or scenario(), str(uuid.uuid4())
        install = self.ended(played, ago=ago, run_id=workflow_id)
        begun = ago - played.seconds - 5
        again = self.ended(restart(expected=len(played.packs)), ago=begun, restart_of=install) if restarted else None
        seconds = played.seconds + 5
        self.history.add_workflow(workflow_id, install, again, at=time.time() - ago - 3, seconds=seconds)
        return workflow_id

    # -- workflows ---------------------------------------------------------------------------------------------------

    def workflow(
        self, played: Scenario | None = None, *, machine: Machine | None = None, speed: float = 0.0, **request: Any
    ) -> str:
        """Starts a workflow whose install is played like `live`; its id."""
        played, machine = played or scenario(), machine or self.machine()
        machine.prepare(played, speed)
        body: Mapping[str, Any] = {"ssh_connection": machine.command, "manifest": played.manifest(), **request}
        answer = self.service.post("/workflow/start", body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["workflow_id"])


def _address(machine: Machine | str) -> tuple[str, str]:
    """The SSH command and the instance's name."""
    if isinstance(machine, Machine):
        return machine.command, _instance(machine)
    name = machine or _NAMES[0]
    return f"ssh -p 31822 root@{name}", f"root@{name}:31822"


def _instance(machine: Machine) -> str:
    return f"root@127.0.0.1:{machine.server.port}"


def _make_key(home: Path) -> None:
    """The service's user has a key; every played machine takes it."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = folder / "id_ecdsa"
    if not key.exists():
        paramiko.ECDSAKey.generate().write_private_key_file(str(key))


def _note_hosts(home: Path, machines: Any) -> None:
    """Names lead to the played machines."""
    lines = [f"Host {machine.name}\n  HostName 127.0.0.1\n" for machine in machines]
    (home / ".ssh" / "config").write_text("".join(lines), "utf-8")
