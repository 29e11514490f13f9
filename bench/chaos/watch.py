"""A client that polls one install to its end, over restarts of the service, and notes whatever fell."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import requests

from test.support.service import TERMINAL, ServiceProcess

POLL_SECONDS = 0.12
_ANSWER_SECONDS = 40.0
_NEVER_FALL = ("revision", "percent", "processed")
_COUNTED = ("successful", "failed", "skipped", "cancelled")


class Watch:
    """Polls in a thread of its own from `start` on. `last`, `wrong` and `interrupted` are to be read after `ended`."""

    def __init__(self, service: ServiceProcess, task_id: str) -> None:
        self.task_id = task_id
        self.last: dict[str, Any] = {}
        self.wrong: list[str] = []
        self.interrupted = False
        self.polls = 0
        self._service = service
        self._over = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._poll_all, name=f"watch-{task_id[:8]}", daemon=True)

    def start(self) -> None:
        """Begins to poll."""
        self._thread.start()

    def over(self, seconds: float) -> bool:
        """Waits up to `seconds` for the end; whether it came."""
        return self._over.wait(seconds)

    def ended(self, deadline: float) -> bool:
        """Waits for the end until `deadline` (monotonic seconds); whether it came. Polls no more."""
        ended = self.over(max(0.0, deadline - time.monotonic()))
        self._given_up.set()
        self._thread.join(_ANSWER_SECONDS + 5)
        if not ended:
            self.wrong.append(f"has not ended: {self.last.get('state')}, {self.last.get('message')}")
        return ended

    def _poll_all(self) -> None:
        with requests.Session() as session:
            while not self._given_up.wait(POLL_SECONDS):
                shown = self._poll(session)
                if shown is None:
                    continue
                self.polls += 1
                self.wrong += [text for text in faults_between(self.last, shown) if text not in self.wrong]
                self.interrupted = self.interrupted or shown["state"] == "interrupted"
                self.last = shown
                if shown["state"] in TERMINAL:
                    self._over.set()
                    return

    def _poll(self, session: requests.Session) -> dict[str, Any] | None:
        """One poll; None while the service does not answer: that is what is played."""
        url = self._service.url + "/ssh/install-custom-nodes/progress"
        try:
            answer = session.post(url, json={"task_id": self.task_id}, timeout=_ANSWER_SECONDS)
        except requests.RequestException:
            return None
        if answer.status_code != 200:
            self.wrong.append(f"a poll was answered {answer.status_code}: {answer.text[:200]}")
            return None
        shown: dict[str, Any] = answer.json()
        return shown


def faults_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What may not be in two progresses that were seen one after the other."""
    wrong = [
        f"{name} fell from {before[name]} to {after[name]}"
        for name in _NEVER_FALL
        if before and after[name] < before[name]
    ]
    if before and before["state"] in TERMINAL and after["state"] != before["state"]:
        wrong.append(f"{before['state']} became {after['state']}")
    processed = sum(after[name] for name in _COUNTED)
    if processed != after["processed"] or after["processed"] > after["total_nodes"]:
        counted = {name: after[name] for name in (*_COUNTED, "processed", "total_nodes")}
        wrong.append(f"the counts do not add up: {counted}")
    if after["state"] == "completed" and after["processed"] != after["total_nodes"]:
        wrong.append(f"completed with {after['processed']} of {after['total_nodes']}")
    return wrong
