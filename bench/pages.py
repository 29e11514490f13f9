"""Fifty open task pages on one service: how quickly their polls are answered, and whether the install is slower for it.

`make bench-pages`. A page is played by what it asks for: its HTML, then its progress every 2 s with the revision that
it has, and a stream of events where there is a place for one. The same install runs once without pages and once with
them. Bounded: some 60 s, loopback only.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, make_pack
from test.support.service import Json, ServiceProcess

PAGES, PACKS, EVERY_SECONDS = 50, 34, 2.0
PACK_BYTES, BYTES_PER_SECOND = 400_000, 100_000
LONGEST_SECONDS = 120.0


@dataclass(slots=True)
class Seen:
    """What all pages together met: milliseconds of each poll, events of streams, and streams that found no place."""

    polls: list[float] = field(default_factory=list)
    events: int = 0
    refused: int = 0


def main() -> None:
    """Runs everything once and prints the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(ServiceProcess(folder))
        git = stack.enter_context(GitServer(folder / "git"))
        packs = [make_pack(git, "o", f"p{number}", payload_bytes=PACK_BYTES) for number in range(PACKS)]
        for pack in packs:
            git.set_rule(pack.repo, RepoRule(bytes_per_second=BYTES_PER_SECOND))
        alone, one = _seconds(stack, service, folder / "alone", packs, pages=1)
        crowded, many = _seconds(stack, service, folder / "crowded", packs, pages=PAGES)
    base = statistics.median(one.polls)
    for name, seen in (("1 page", one), (f"{PAGES} pages", many)):
        ordered = sorted(seen.polls)
        median, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99) - 1]
        print(
            f"{name:10} {len(ordered):5} polls   median {median:5.1f} ms (x{median / base:.2f})   p99 {p99:6.1f} ms   "
            f"{seen.events} events of streams, {seen.refused} times no place for one"
        )
    print(f"the install took {alone:.1f} s with 1 page and {crowded:.1f} s with {PAGES}: x{crowded / alone:.2f}")


def _seconds(
    stack: ExitStack, service: ServiceProcess, place: Path, packs: list[Pack], *, pages: int
) -> tuple[float, Seen]:
    """How long the install took, and what so many pages met meanwhile."""
    standin = stack.enter_context(StandIn(place, environ=os.environ, with_pip=False))
    task_id = service.install(standin, manifest={"urls": [pack.url for pack in packs]})
    seen = Seen()
    with _open_pages(service.url, task_id, pages, seen):
        last = _ended(service, task_id)
    assert last["outcome"] == "all", last
    return float(last["elapsed_seconds"]), seen


def _ended(service: ServiceProcess, task_id: str) -> Json:
    """Looks twice a second: an answer that is held until the end would want the place of a stream."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while (last := service.progress(task_id))["in_progress"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{task_id} has not ended within {LONGEST_SECONDS:g} s")
        threading.Event().wait(0.5)
    return last


@contextmanager
def _open_pages(url: str, task_id: str, count: int, seen: Seen) -> Iterator[None]:
    over = threading.Event()
    with ThreadPoolExecutor(2 * count) as pool:
        for number in range(count):
            pool.submit(_page, url, task_id, number * EVERY_SECONDS / count, over, seen)
            pool.submit(_stream, url, task_id, over, seen)
        try:
            yield
        finally:
            over.set()


def _page(url: str, task_id: str, begin_after: float, over: threading.Event, seen: Seen) -> None:
    over.wait(begin_after)
    with requests.Session() as session:
        session.get(f"{url}/ui/task/{task_id}", timeout=30).raise_for_status()
        revision = None
        while not over.is_set():
            body = {"task_id": task_id} | ({} if revision is None else {"since": revision})
            began = time.perf_counter()
            answer = session.post(f"{url}/ssh/install-custom-nodes/progress", json=body, timeout=30)
            seen.polls.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            revision = answer.json()["revision"]
            over.wait(EVERY_SECONDS)


def _stream(url: str, task_id: str, over: threading.Event, seen: Seen) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    with requests.get(f"{url}/tasks/{task_id}/events", stream=True, timeout=30) as answer:
        if answer.status_code != requests.codes.ok:
            seen.refused += 1
            return
        for line in answer.iter_lines():
            seen.events += line.startswith(b"event: progress")
            if over.is_set() or time.monotonic() > deadline:
                return


if __name__ == "__main__":
    main()
