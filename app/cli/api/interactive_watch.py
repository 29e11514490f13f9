"""Watching with a person at the keyboard: what Ctrl-C means, and how it ends."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.api.questions import Question, ask_person, given_answer, is_interactive, show_question, unanswered
from app.cli.api.watching import LineDisplay, LiveDisplay, PlaceOfRun, display_on, lines_on, watch
from app.cli.api.which_home import WithPlace
from app.cli.errors import CliError
from app.cli.program import program
from app.cli.view.result import show_text
from app.words import word

STOP, WATCH_NO_MORE = "s", "w"


@dataclass(frozen=True, slots=True)
class Displays:
    """Where the progress goes: as lines, or where `lines` is None drawn."""

    lines: LineDisplay | None
    drawn: LiveDisplay


class WatchingEnded(Exception):  # nothing failed: somebody wanted it so
    """The person watches no longer; the install goes on."""


def follow(
    api: Api, task_id: str, console: Console, *, lines: bool = False, answers: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """The last progress of a task, drawn until it has ended. Its questions are answered by `answers`, by their code or
    id, or by the person. Ctrl-C asks what to stop. Raises WatchingEnded."""
    displays = Displays(lines_on(console, lines=lines), LiveDisplay(PlaceOfRun(api, task_id)))
    asked: set[str] = set()
    said_where: set[str] = set()
    while True:
        try:
            return _watch_and_answer(
                api, task_id, console, displays=displays, answers=answers or {}, asked=asked, place=said_where
            )
        except KeyboardInterrupt:
            if not wants_stop(console):
                last = _last_if_over(api, task_id)
                if last:
                    return last
                raise WatchingEnded from None
        try:
            api.cancel(task_id)
        except CliError as exc:
            if exc.code != "task_not_cancellable":  # it has ended meanwhile: the watching goes on to its end
                raise
        console.print("Cancelling the install on the instance.")


def _last_if_over(api: Api, task_id: str) -> Mapping[str, Any] | None:
    """The last progress of a run that is over meanwhile: nobody is to be told that it goes on."""
    try:
        progress = api.progress(task_id)
    except CliError:
        return None
    return None if progress.get("in_progress") else progress


def _watch_and_answer(
    api: Api,
    task_id: str,
    console: Console,
    *,
    displays: Displays,
    answers: Mapping[str, str],
    asked: set[str],
    place: set[str],
) -> Mapping[str, Any]:
    """The last progress, after the end. `asked`: the questions that need nothing more, by id; `place`: whether it was
    said which ComfyUI it is."""
    while True:
        with display_on(console, displays.lines, displays.drawn) as display:
            with_place = WithPlace(display, console, place)
            progress = watch(api, task_id, with_place, enough=lambda now: bool(_new(now, asked)))
        if not progress.get("in_progress"):
            return progress
        for question in _new(progress, asked):
            _answer(api, task_id, question, console, answers)
            asked.add(question["id"])


def _new(progress: Mapping[str, Any], asked: Container[str]) -> list[Question]:
    return [question for question in unanswered(progress) if question["id"] not in asked]


def _answer(api: Api, task_id: str, question: Question, console: Console, answers: Mapping[str, str]) -> None:
    """Answers a question, or says how to, where nobody is here."""

    def stands() -> bool:
        return any(each["id"] == question["id"] for each in unanswered(api.progress(task_id)))

    answer = given_answer(answers, question)
    if answer is None and is_interactive(console):
        answer = ask_person(question, console, stands)
        if answer is None:
            return
    if answer is None:
        show_question(console, question)
        command = f"{program()} tasks answer {task_id} ANSWER --question {question['id']}"
        show_text(console, word("cli.answer_with", command=command))
        return
    try:
        api.answer(task_id, question["id"], answer)
    except CliError as exc:
        if exc.code not in ("question_gone", "invalid_request"):
            raise
        show_text(console, exc.format_message(), style="yellow")


def wants_stop(console: Console, key: str = "cli.ask_install_stop") -> bool:
    """Ask whether to stop the install. Without a terminal nobody can answer: then only the watching stops, since that
    can be undone. `key`: of the question's words."""
    if not is_interactive(console):
        return False
    question = word(key, stop=STOP, watch=WATCH_NO_MORE)
    choice = click.Choice([STOP, WATCH_NO_MORE], case_sensitive=False)
    try:
        return bool(click.prompt(question, type=choice, default=WATCH_NO_MORE, show_choices=False, err=True) == STOP)
    except click.Abort:
        return False
