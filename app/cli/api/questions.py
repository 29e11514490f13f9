"""A run's questions on the command line: asked where a person can answer, answered by `--answer` in scripts."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console

from app.cli.errors import CliError
from app.cli.view.plan import show_changes
from app.cli.view.result import show_text
from app.protocol.options import OPTIONS
from app.protocol.terminal_text import one_line
from app.words import word

Question = Mapping[str, Any]
_LOOK_SECONDS = 1.0

answer_option = click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="ID=ANSWER",
    help="Answer the question with this id or code if it is asked; may be given many times.",
)


def is_interactive(console: Console) -> bool:
    """Whether a person can be asked here."""
    return sys.stdin.isatty() and console.is_terminal


def answers_of(given: Sequence[str]) -> dict[str, str]:
    """What `--answer` says, by the question's code or id. Raises CliError."""
    answers = {}
    for text in given:
        code, equals, answer = text.partition("=")
        if not (code and equals and answer):
            raise CliError(
                f"--answer {text}: expected CODE=ANSWER, or ID=ANSWER.",
                hint="docs/messages.md lists the questions' codes.",
            )
        answers[code] = answer
    return answers


def given_answer(answers: Mapping[str, str], question: Question) -> str | None:
    """What `--answer` says to a question; by its id, which names one of a run, before its code, which names a kind."""
    return answers.get(str(question.get("id") or ""), answers.get(str(question["code"])))


def with_terminal_defaults(
    asked: Mapping[str, Any], answers: Mapping[str, str], *, interactive: bool
) -> dict[str, Any]:
    """The options of a command line, with what a terminal sends for those that were not given. `--answer` asks too."""
    defaults = {
        name: option.on_terminal
        for name, option in OPTIONS.items()
        if option.on_terminal is not None and asked.get(name) is None
    }
    return {**asked, **(defaults if interactive or answers else {})}


def unanswered(progress: Mapping[str, Any]) -> list[Question]:
    """What a run waits for, as its progress has it."""
    return [question for question in progress.get("questions") or [] if question.get("answer") is None]


def show_question(console: Console, question: Question) -> list[str]:
    """Print a question with what it is about and its answers; their words, in that order."""
    facts = question.get("facts") or {}
    show_changes(console, facts.get("plan") or [])
    if facts.get("shown_sha256"):
        _show_keys(console, facts)
    else:
        show_text(console, one_line(question.get("text")), style="bold yellow")
    if question.get("hint"):
        show_text(console, one_line(question.get("hint")))
    words = []
    for number, each in enumerate(question.get("answers") or [], 1):
        words.append(str(each.get("answer")))
        mark = " [default]" if each.get("answer") == question.get("default") else ""
        show_text(console, f"{number}  {one_line(each.get('answer'))}: {one_line(each.get('label'))}{mark}", indent=2)
    return words


def _show_keys(console: Console, facts: Mapping[str, Any]) -> None:
    """That a machine shows another key, as the pages say it."""
    machine = one_line(f"{facts.get('host')}:{facts.get('port')}")
    show_text(console, word("run.key_changed", machine=machine), style="bold yellow")
    known = [("run.key_before", key.get("sha256")) for key in facts.get("known") or []]
    for key, sha256 in [*known, ("run.key_now", facts["shown_sha256"])]:
        show_text(console, f"{word(key)}: {one_line(sha256)}", indent=2)


def ask_person(question: Question, console: Console, stands: Callable[[], bool]) -> str | None:
    """What the person answers: an answer's word or number, or Enter for the default. None once the question does not
    stand any more, which `stands` says; that is asked about once a second."""
    words = show_question(console, question)
    while True:
        default = question.get("default")
        asked = word("cli.your_answer") + (f" [{one_line(default)}]" if default else "")
        console.print(f"{asked}: ", end="", markup=False, highlight=False)
        line = _read_line(stands)
        if line is None:
            console.print()
            show_text(console, word("cli.decided"))
            return None
        said = line.strip() or str(default or "")
        if said in words:
            return said
        if said.isdecimal() and 0 < int(said[:4]) <= len(words):
            return words[int(said[:4]) - 1]
        show_text(console, word("cli.answer_one_of", words=", ".join(map(one_line, words))))


def _read_line(stands: Callable[[], bool]) -> str | None:
    """A line of the terminal; None when the question is gone. Raises KeyboardInterrupt at the end of the input."""
    looked = time.monotonic()
    while True:
        if select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
            line = sys.stdin.readline()
            if not line:
                raise KeyboardInterrupt
            return line
        if time.monotonic() - looked > _LOOK_SECONDS:
            looked = time.monotonic()
            if not stands():
                return None
