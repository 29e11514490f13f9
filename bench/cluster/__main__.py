"""`make cluster`: a whole cluster on this machine until Ctrl-C, with an instance for every install that you try.

ARGS="--web 2 --workers 2 --instances 20 --port 5000 --again". Fails in words when a port is taken, PostgreSQL is
missing or has ended, or no process of a kind is left.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import threading
from collections.abc import Sequence

from app.cli.program import program
from app.cli.signals import ended_by_signals, ignore_signals
from app.standin.errors import StandInError
from bench.cluster.cluster import Cluster, PortTaken, Wanted
from bench.cluster.member import MemberEnded
from bench.command import say
from bench.fleet.script import Play

_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 3.0
"""As systemd and Docker do: what has ended is started again after a moment."""


def main(argv: Sequence[str] | None = None) -> int:
    """Keeps a cluster up; the exit status."""
    asked = _arguments().parse_args(argv)
    wanted = Wanted(
        asked.web, asked.workers, asked.port, Play(instances=asked.instances, rate=asked.rate, events=asked.events)
    )
    try:
        with ended_by_signals(), Cluster(wanted, lambda line: say(f"  {line}")) as cluster:
            try:
                for line in lines_of(cluster):
                    say(line)
                _watch(cluster, again=asked.again)
            finally:
                ignore_signals()  # what is taken down is taken down
                say("Taking everything down.")
    except KeyboardInterrupt:
        return 0  # it stays up until Ctrl-C, and has ended by it as it should
    except PortTaken as exc:
        return _failed(f"{exc} Another one: make cluster ARGS='--port 5100' (0: any free ones).")
    except StandInError as exc:
        return _failed(f"{exc.message} {exc.hint}".strip())
    except MemberEnded as exc:
        return _failed(str(exc))
    return 0


def _watch(cluster: Cluster, *, again: bool) -> None:
    """Until it cannot go on. `again`: members are started again."""
    pause, told = threading.Event(), set[str]()
    while not pause.wait(_LOOK_SECONDS):
        if not again:
            cluster.check()
        for member in cluster.members:
            if member.status is None or member.name in told:
                continue
            ended = f"{member.name} has ended (exit status {member.status})"
            if not again:
                told.add(member.name)
                say(f"{ended}; the others go on, with its installs after 20 to 40 s.")
                continue
            say(f"{ended}; it starts again in {_AGAIN_SECONDS:.0f} s.")
            member.wait()
            pause.wait(_AGAIN_SECONDS)
            member.start(int(member.url.rpartition(":")[2]))
            member.ready()
            say(f"  {member.name}, process {member.pid}, {member.url}")
        cluster.check()


def lines_of(cluster: Cluster) -> list[str]:
    """What to try, as it can be pasted into another terminal."""
    body, fleet = cluster.folder / "install.json", cluster.folder / "fleet.json"
    body.write_text(json.dumps(cluster.request()), "utf-8")
    entries = [cluster.fleet.command(number) for number in range(1, len(cluster.fleet.addresses))]
    manifest = cluster.request()["manifest"]
    fleet.write_text(json.dumps({"ssh_connections": entries, "manifest": manifest}), "utf-8")
    first, last = cluster.web[0].url, cluster.web[-1].url
    post = "curl -s -H 'Content-Type: application/json'"
    lines = [
        "",
        f"It stays up until Ctrl-C. Pages: {'  '.join(member.url for member in cluster.web)}",
        "Start an install at the first web process:",
        f"  {post} {first}/ssh/install-custom-nodes -d @{shlex.quote(str(body))}",
        "Poll it at the other, with the task_id of that answer:",
        f'  {post} {last}/ssh/install-custom-nodes/progress -d \'{{"task_id": "TASK_ID"}}\'',
        "On all other instances at once:",
        f"  {post} {first}/fleet/install-custom-nodes -d @{shlex.quote(str(fleet))}",
        "Every line of all processes about one task:",
        f"  grep -h TASK_ID {shlex.quote(str(cluster.folder))}/*/log | sort",
        "The tasks, from the command line:",
        f"  {program()} tasks list --server {last}",
        "The database:",
        f"  psql -h 127.0.0.1 -p {cluster.postgresql.port} -U postgres nodeferry",
    ]
    if cluster.workers:
        killed = cluster.workers[0]
        lines += ["Kill a worker; another one goes on with its installs (with ARGS=--again it is started again):"]
        lines += [f"  kill -9 {killed.pid}"]
    return lines


def _failed(why: str) -> int:
    sys.stderr.write(f"The cluster is down: {why}\n")
    return 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make cluster", description="A cluster on this machine, until Ctrl-C.")
    parser.add_argument("--web", type=int, default=2, help="web processes (default 2)")
    parser.add_argument("--workers", type=int, default=2, help="workers (default 2)")
    parser.add_argument("--port", type=int, default=5000, help="of the first web process; 0: any free ones")
    parser.add_argument("--instances", type=int, default=20, help="of the played fleet (default 20)")
    parser.add_argument("--rate", type=float, default=4.0, help="events a second of each run (default 4)")
    parser.add_argument("--events", type=int, default=240, help="how many each run has (default 240)")
    parser.add_argument("--again", action="store_true", help="start members again that have ended")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
