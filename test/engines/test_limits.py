"""The limits of a fleet, as each engine keeps them: in one process on SQLite, and in several on PostgreSQL."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from app.protocol.states import TaskState
from test.engines.conftest import Played, fleet, install
from test.engines.process import Process
from test.support.waiting import wait_until

MakeProcess = Callable[..., Process]
MakeChild = Callable[[], "subprocess.Popen[str]"]


def processes(played: Played, make: MakeProcess) -> tuple[Process, ...]:
    """As many as the database takes."""
    return tuple(make() for _ in range(3 if played.url.startswith("postgresql") else 1))


def hosts(count: int) -> list[str]:
    return [f"root@10.0.0.{number}:22" for number in range(1, count + 1)]


def begins_nobody(played: Played, *processes: Process) -> None:
    """Another install that is started now begins, so whoever could begin before it has."""
    other = processes[0].start(install(f"root@127.0.0.1:{len(played.lines('began')) + 1}"))
    played.has("began", other)
    played.end(other)
    played.ended(processes[0], other)


def test_of_a_fleet_as_many_run_at_once_as_it_may(played: Played, process_of: MakeProcess) -> None:
    """In its order, and in all processes together; others do not wait for it, and who does is told for what."""
    many = processes(played, process_of)
    tasks = [many[0].start(record) for record in fleet(hosts(6), at_once=2)]
    played.has("began", *tasks[:2])
    begins_nobody(played, *many)
    assert not [task for task in tasks[2:] if played.lines("began", task)]
    why = "Waiting: 2 installs of this fleet are running, and no more run at the same time"
    wait_until(lambda: {process.why(tasks[2]) for process in many} == {why}, 5, "they say why")
    for process in many:
        assert [getattr(process.engine.place_of(task), "position", None) for task in tasks[2:]] == [1, 2, 3, 4]
    for number, task_id in enumerate(tasks):
        played.end(task_id)
        played.ended(many[0], task_id)
        played.has("began", *tasks[: number + 3], timeout=5)
    begun = [line[1] for line in played.lines("began") if line[1] in tasks]
    assert (set(begun[:2]), begun[2:]) == (set(tasks[:2]), tasks[2:])  # the first two at once, at two processes
    assert played.most_at_once(*tasks) == 2
    wait_until(lambda: many[0].engine.unfinished == 0, 5, "nothing is left")
    played.is_kept_once()


def test_on_one_host_as_many_run_at_once_as_the_fleet_may(played: Played, process_of: MakeProcess) -> None:
    """Ports of one address are one host; one that is full holds up nobody on another."""
    many = processes(played, process_of)
    here, there = [f"root@h:{port}" for port in range(1, 5)], ["root@[2001:db8::1]:1", "root@[2001:db8::1]:2"]
    tasks = [many[0].start(record) for record in fleet([*here, *there], per_host=1)]
    played.has("began", tasks[0], tasks[4])
    begins_nobody(played, *many)
    assert {line[1] for line in played.lines("began")} & set(tasks) == {tasks[0], tasks[4]}
    why = "Waiting: 1 install of this fleet is running on this host, and no more run there at the same time"
    wait_until(lambda: many[0].why(tasks[5]) == why, 5, "it says why")
    for task_id in tasks:
        played.has("began", task_id, timeout=5)
        played.end(task_id)
        played.ended(many[0], task_id)
    assert played.most_at_once(*tasks[:4]) == played.most_at_once(*tasks[4:]) == 1
    assert [line[1] for line in played.lines("began") if line[1] in tasks[:4]] == tasks[:4]


def test_who_waits_for_another_on_its_instance_uses_no_place(played: Played, process_of: MakeProcess) -> None:
    """The next of the fleet has it; and the end of that other one is enough to begin."""
    [process] = processes(played, process_of)[:1]
    other = process.start(install("root@10.0.0.1:22"))
    played.has("began", other)
    tasks = [process.start(record) for record in fleet(hosts(3), at_once=2)]
    played.has("began", tasks[1], tasks[2])
    played.end(tasks[2])
    played.ended(process, tasks[2])
    assert getattr(process.engine.place_of(tasks[0]), "behind", None) == other
    played.end(other)
    played.has("began", tasks[0], timeout=5)
    played.end(*tasks)
    for task_id in tasks:
        played.ended(process, task_id)


def test_a_cancel_of_who_waits_takes_no_place_and_one_of_who_runs_gives_it(
    played: Played, process_of: MakeProcess
) -> None:
    many = processes(played, process_of)
    tasks = [many[0].start(record) for record in fleet(hosts(4), at_once=1)]
    played.has("began", tasks[0])
    assert many[-1].engine.cancel(tasks[1])
    assert played.ended(many[0], tasks[1], 3).state is TaskState.CANCELLED
    begins_nobody(played, *many)
    assert not played.lines("began", tasks[2])
    assert many[-1].engine.cancel(tasks[0])
    played.has("began", tasks[2], timeout=5)
    played.end(*tasks)
    for task_id in tasks[2:]:
        played.ended(many[0], task_id)
    assert not played.lines("began", tasks[1])
    assert played.most_at_once(*tasks) == 1


def test_a_stop_of_all_begins_nobody(played: Played, process_of: MakeProcess) -> None:
    """The ends of those that run give no place to those that are about to be stopped."""
    many = processes(played, process_of)
    tasks = [many[0].start(record) for record in fleet(hosts(12), at_once=3)]
    played.has("began", *tasks[:3])
    assert set(many[-1].engine.cancel_all(tasks)) == set(tasks)
    assert {played.ended(many[0], task_id).state for task_id in tasks} == {TaskState.CANCELLED}
    assert {line[1] for line in played.lines("began")} == set(tasks[:3])
    wait_until(lambda: many[0].engine.unfinished == 0, 5, "nothing is left")


def test_who_is_gone_on_with_by_another_has_one_place(
    played: Played, process_of: MakeProcess, child_of: MakeChild
) -> None:
    """Not two, and not none: neither is one begun beside it, nor is its place lost."""
    child = child_of()
    records = fleet(hosts(3), at_once=1)
    if played.url.startswith("postgresql"):
        first = process_of(works=False)
        tasks = [first.start(record) for record in records]
        played.has("began", tasks[0])
        child.kill()
    else:
        child.kill()
        first = process_of()
        tasks = [first.start(record) for record in records]
        played.has("began", tasks[0])
        first.engine.close(5.0)
    other = process_of()
    wait_until(lambda: len(played.lines("began", tasks[0])) == 2, 20, "another has it")
    begins_nobody(played, other)
    assert not played.lines("began", tasks[1])
    for task_id in tasks:
        played.has("began", task_id, timeout=5)
        played.end(task_id)
        played.ended(other, task_id)
    assert played.most_at_once(*tasks) == 1
    played.is_kept_once()
