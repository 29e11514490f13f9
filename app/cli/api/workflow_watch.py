"""Watching a workflow to its end: the same picture and the same lines as an install's, its questions asked here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from app.cli.api.client import Api
from app.cli.api.interactive_watch import Displays, WatchingEnded, wants_stop
from app.cli.api.questions import ask_person, given_answer, is_interactive, show_question
from app.cli.api.watching import (
    OUTAGE_SECONDS,
    POLL_SECONDS,
    LineDisplay,
    LiveDisplay,
    PlaceOfRun,
    display_on,
    lines_on,
)
from app.cli.errors import CliError, ServiceUnreachable
from app.cli.view import line_output
from app.cli.view.result import show_text
from app.cli.view.workflow_view import State, as_progress, changes, steps_line
from app.domain.workflow import STOP, StepName
from app.protocol.terminal_text import one_line
from app.words import word

Progress = Mapping[str, Any]


@dataclass(slots=True)
class WorkflowWatch:
    """Who watches one workflow. `answers`: what `--answer` says; `resume`: the command that goes on with it."""

    api: Api
    workflow_id: str
    console: Console
    answers: Mapping[str, str]
    resume: str
    lines: bool = False
    _asked: set[str] = field(default_factory=set)
    _before: State | None = None

    def follow(self) -> State:
        """The last state, told until it has ended. Raises WatchingEnded, and CliError for a question that nobody can
        answer here."""
        place = PlaceOfRun(self.api, self.workflow_id)
        displays = Displays(lines_on(self.console, lines=self.lines, place=place), LiveDisplay(place))
        while True:
            try:
                return self._watch_and_answer(displays)
            except KeyboardInterrupt:
                if not wants_stop(self.console, "cli.ask_workflow_stop"):
                    raise WatchingEnded from None
            try:
                self.api.stop_workflow(self.workflow_id)
            except CliError as exc:
                if exc.code != "workflow_conflict":  # it has ended meanwhile: the watching goes on to its end
                    raise
            show_text(self.console, word("cli.workflow_stopping"))

    def install_of(self, state: State) -> Progress | None:
        """How the install of a workflow stands; None before it has begun, and where it is forgotten."""
        tasks = [step["task_id"] for step in state["steps"] if step["name"] == StepName.INSTALL.value]
        return self._progress(tasks[0]) if tasks else None

    def _progress(self, task_id: str | None) -> Progress | None:
        if not task_id:
            return None
        try:
            return self.api.progress(task_id)
        except ServiceUnreachable:
            raise
        except CliError:
            return None

    def _watch_and_answer(self, displays: Displays) -> State:
        while True:
            with display_on(self.console, displays.lines, displays.drawn) as display:
                state = self._poll(display)
            if not state["in_progress"]:
                return state
            self._answer(state["question"])

    def _poll(self, display: LineDisplay | LiveDisplay) -> State:
        """The state when the workflow has ended, or asks something new."""
        state: State = {}
        heard, pause = time.monotonic(), threading.Event()
        while not state or (state["in_progress"] and not self._asks(state)):
            try:
                state = self.api.workflow(self.workflow_id)
                self._show(display, state)
                heard = time.monotonic()
                display.notice("")
            except ServiceUnreachable as exc:
                if not state or time.monotonic() - heard > OUTAGE_SECONDS:
                    raise
                display.notice(f"{exc.message} Trying again.")
            if state["in_progress"] and not self._asks(state):
                pause.wait(POLL_SECONDS)
        return state

    def _asks(self, state: State) -> bool:
        question = state["question"]
        return bool(question) and question.get("id") not in self._asked

    def _show(self, display: LineDisplay | LiveDisplay, state: State) -> None:
        begun = [step for step in state["steps"] if step["status"] != "pending"]
        tasks = [step.get("task_id") or step.get("plan_task_id") for step in begun]
        known = self._progress(next((task_id for task_id in reversed(tasks) if task_id), None))
        progress = {**(known or {}), **as_progress(state, known)}
        if isinstance(display, LiveDisplay):
            display.above = steps_line(state["steps"])
            display.show(self._with_packs(state, progress), 0.0)
            return
        display.show(progress, 0.0)
        for text in changes(self._before, state):
            display.write(line_output.at(progress, text))
        self._before = state

    def _with_packs(self, state: State, progress: Progress) -> Progress:
        """What is drawn: the task that works now, with the packs of the install."""
        install = None if progress.get("nodes") else self.install_of(state)
        return {**progress, "nodes": install["nodes"], "counts": install["counts"]} if install else progress

    # -- questions ----------------------------------------------------------------------------------------------------

    def _answer(self, question: State) -> None:
        """Answers the question, by `--answer` or by the person; says how to, where nobody is here."""
        of_task = question.get("id")
        answer = given_answer(self.answers, question)
        if answer is None and is_interactive(self.console):
            answer = ask_person(self._with_stop(question), self.console, self._stands(question))
            if answer is None:
                return
        if answer is None:
            self._say_how(question)
            return
        try:
            self.api.answer_workflow(self.workflow_id, answer, of_task)
        except CliError as exc:
            if not of_task or exc.code not in ("question_gone", "workflow_conflict", "invalid_request"):
                raise
            show_text(self.console, exc.format_message(), style="yellow")
        if of_task:
            self._asked.add(of_task)

    def _stands(self, question: State) -> Callable[[], bool]:
        def stands() -> bool:
            now = self.api.workflow(self.workflow_id)["question"]
            return bool(now) and (now.get("id"), now["code"]) == (question.get("id"), question["code"])

        return stands

    def _say_how(self, question: State) -> None:
        """A question of an install is answered by itself when its time is over; one of the workflow waits for ever, and
        ends the command."""
        words = [str(each["answer"]) for each in self._with_stop(question)["answers"]]
        name, usual = question.get("id") or question["code"], question.get("default") or words[0]
        command = f"{self.resume} --answer {name}={usual}"
        if not question.get("id"):
            show_question(self.console, question)
            said = word("cli.workflow_waits", words=", ".join(map(one_line, words)))
            raise CliError(said, hint=word("cli.answer_with", command=command))
        show_question(self.console, question)
        show_text(self.console, word("cli.answer_with", command=command))
        self._asked.add(str(question["id"]))

    def _with_stop(self, question: State) -> State:
        """To stop is an answer to every question; the default where the question has none."""
        answers = [*question["answers"], {"answer": STOP, "label": word("cli.workflow_stop")}]
        return {**question, "answers": answers, "default": question.get("default") or STOP}
