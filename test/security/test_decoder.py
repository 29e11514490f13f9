"""What a journal of a hostile instance becomes: events within their limits, or the end of its task."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import budgets
from app.protocol.clean_text import clean_block, clean_line
from app.protocol.events import RunEnded, Unknown, decode
from app.protocol.json_fields import ProtocolFault, loads_bounded
from app.protocol.states import TaskState
from test.security.hostile_journals import Fields, deep, events, folded, honest, line, strict

URL = "https://example.org/o/pack"
PACK = {"name": "p", "repo_url": URL}
BIG = "x" * 20_000
SNAPSHOT_BYTES = 16 * 1024 * 1024
"""The most that the record and the progress of one task take together, whatever its instance sends."""


NUMBERS = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
    "1e308": 1e308,
    "-1e308": -1e308,
    "10**400": 10**400,
    "text": "1",
    "a list": [1],
    "true": True,
}
PLACES: dict[str, Fields] = {
    "mono": {"event": "warning", "code": "c", "message": "m", "mono": ...},
    "wall": {"event": "warning", "code": "c", "message": "m", "wall": ...},
    "seq": {"event": "warning", "code": "c", "message": "m", "seq": ...},
    "seconds of a step": {"event": "step", "name": "a", "status": "success", "seconds": ...},
    "rate": {"event": "node_progress", "name": "p", "percent": 1, "rate": ...},
    "percent": {"event": "node_progress", "name": "p", "percent": ...},
    "bytes": {"event": "node_progress", "name": "p", "percent": 1, "bytes_received": ...},
    "import_seconds": {"event": "node", "name": "p", "state": "cloned", "import_seconds": ...},
    "packages": {"event": "packages", "done": ..., "total": 1},
    "size": {"event": "plan", "changes": [{"package": "p", "bytes": ...}]},
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_number_that_is_none_or_too_large_ends_the_task(place: Fields, number: object) -> None:
    """Wherever it stands; sums and differences of those that remain are finite."""

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put(each) for key, each in value.items()}
        return number if value is ... else [put(each) for each in value] if isinstance(value, list) else value

    with pytest.raises(ProtocolFault):
        decode(line(**put(place)))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400, deep(300), deep(20)])
@pytest.mark.parametrize("event", ["probed", "lock", "question_asked"])
def test_what_is_kept_as_it_came_is_looked_through(event: str, number: object) -> None:
    asked = {"id": "q", "code": "c", "text": "t", "answers": [{"answer": "a", "label": ""}], "default": "a"}
    fields: dict[str, Fields] = {
        "probed": {"ui_home": "/ui", "fact": [number]},
        "lock": {"lock": {"packages": {"a": number}}},
        "question_asked": {"question": {**asked, "seconds": 1, "facts": {"fact": number}}},
    }
    with pytest.raises(ProtocolFault):
        decode(line(event=event, **fields[event]))


@pytest.mark.parametrize("start", ["NaN", "1e999", "five", "", None, [], {}, -1, 1e9, True, "nan"])
def test_a_fact_of_another_type_is_no_estimate(start: object) -> None:
    """How long ComfyUI took to start is added to the time that is left: polls answer whatever it is."""
    run = [each for each in honest() if each["event"] != "run_ended"]
    run = [{**each, "verify": True} if each["event"] == "run_started" else each for each in run][:18]
    found = {"event": "probed", "ui_home": "/ui", "comfyui_start_seconds": start}
    lines = [line(number, **{**each, "seq": number}) for number, each in enumerate([*run, found], 1)]
    strict(folded(lines))


def test_what_no_runner_says_changes_nothing() -> None:
    """The words of the service's own events, and those of newer runners: skipped, and counted up to a limit."""
    words = ["given_up", "cancel_requested", "connected", "interrupted", "queued", "attached", "invented", "\x1b[2J"]
    for word in words:
        event = decode(line(event=word, state="failed", error=None, endpoint="evil", offset=0))
        assert isinstance(event.body, Unknown)
    many = budgets.MAX_UNKNOWN_EVENTS
    last = folded(events(many, lambda number: {"event": words[number % len(words)], "state": "failed"}))
    assert (last.state, last.unknown_events, last.journal_seq) == (TaskState.QUEUED, many, many)
    assert last.phases == {}
    with pytest.raises(ProtocolFault):
        folded([line(many + 1, event="invented")], last)


TEXTS = {
    "colours": ("a\x1b[31;1mb\x1b[0mc", "abc"),
    "the clipboard": ("a\x1b]52;c;cm0gLXJmIH4=\x07b", "ab"),
    "a link": ("\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text"),
    "a title that does not end": ("a\x1b]0;" + "t" * 9000, "a" + "t" * 497),
    "C1": ("a\x9b31mb\x85c", "ab c"),
    "the line is written over": ("good\rbad", "good bad"),
    "the direction of writing": ("a\u202eb\u2066c\u200f", "abc"),
    "nothing is seen": ("a\u200b\ufeff\U000e0041b", "ab"),
    "NUL": ("a\x00b", "ab"),
    "half a pair": ("a\ud800b", "a\ufffdb"),
    "other languages": ("Zoë 東京 👩‍🚀 عربى", "Zoë 東京 👩‍🚀 عربى"),
}


@pytest.mark.parametrize(("said", "kept"), TEXTS.values(), ids=TEXTS)
def test_texts_are_cleaned_of_what_a_terminal_obeys(said: str, kept: str) -> None:
    """In each field; only messages and hints keep their line breaks."""
    assert clean_line(said, 500) == kept
    body = decode(line(event="warning", code="c", message=f"{said}\n{said}", hint="")).body
    assert vars(body)["message"] == clean_block(f"{said}\n{said}", budgets.LONG)
    assert vars(decode(line(event="phase", phase="probe", status="running", detail=f"{said}\n")).body)["detail"] == (
        clean_line(said + "\n", 500)
    )


@given(st.text(max_size=60), st.integers(0, 40))
def test_a_cleaned_text_is_clean_and_short(text: str, most: int) -> None:
    for clean in (clean_line, clean_block):
        once = clean(text, most)
        assert len(once) <= most
        assert clean(once, most) == once
        once.encode()
    assert "\n" not in clean_line(text, most)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: {"event": "step", "name": f"step {n}", "status": "running", "detail": BIG},
        lambda n: {"event": "plan", "changes": [{"package": f"p{n}", "wanted_by": ["y" * 200] * 50}] * 50},
        lambda n: {"event": "plan", "changes": [{"package": f"p{n}"}] * 1000},
        lambda n: {"event": "probed", "ui_home": "/ui", f"fact {n}": "f" * 1000},
        lambda n: {"event": "probed", "ui_home": "/ui", "fact": ["f" * 1000] * 100},
        lambda n: {"event": "manifest", "source": "csv", "nodes": [{**PACK, "name": f"p{i}"} for i in range(1001)]},
    ],
    ids=["steps", "names of a plan", "entries of a plan", "facts", "a fact", "packs"],
)
def test_what_adds_up_has_an_end(make: Any) -> None:
    """More than its limit in all ends the task, and it never took much until then."""
    kept = folded([])
    refused = False
    for number in range(1, 2000):
        try:
            kept = folded([line(number, **make(number))], kept)
        except ProtocolFault:
            refused = True
            break
    assert refused
    assert len(strict(kept)) < 4_000_000


@pytest.mark.parametrize(
    "make",
    [
        lambda n: {"event": "warning", "code": BIG, "message": BIG, "hint": BIG},
        lambda n: {
            "event": "build",
            "package": f"p{n}",
            "version": "1",
            "state": "running",
            "packs": ["x" * 200] * 200,
        },
        lambda n: {"event": "step", "name": "one", "status": "running", "detail": BIG},
        lambda n: {"event": "phase", "phase": "probe", "status": "running", "detail": f"{n}{BIG}"},
        lambda n: {"event": "lock", "lock": {f"key {n}": [BIG] * 5}},
        lambda n: {"event": "repair", "repair": {"state": "searching", "ended": BIG, "starts": n}},
        lambda n: {"event": "waiting", "code": "c", "message": BIG},
    ],
    ids=["warnings", "builds", "a step", "a phase", "locks", "repairs", "waits"],
)
def test_what_is_sent_again_and_again_takes_no_more(make: Any) -> None:
    """The newest are kept, and their texts are cut."""
    assert len(strict(folded(events(250, make)))) < 1_500_000


def test_a_whole_record_at_its_limits_stays_small() -> None:
    """Every part of it at once."""
    name, text = "n" * 190, "x" * 3000
    problem = {"code": text, "message": text, "hint": text}
    packs = [{"name": f"{name}{i}", "repo_url": URL + "u" * 900, "ref": "r" * 400} for i in range(1000)]
    changes = [{"package": f"{name}{i}", "wanted_by": [name] * 20} for i in range(400)]
    run: list[Fields] = [
        {"event": "manifest", "source": "csv", "nodes": packs},
        *({"event": "node", "name": pack["name"], "state": "failed", "error": problem} for pack in packs),
        {"event": "plan", "changes": changes},
        *({"event": "step", "name": f"{i}", "status": "running", "detail": text} for i in range(190)),
        *({"event": "build", "package": f"{i}", "version": "1", "state": "done", "packs": [name]} for i in range(300)),
        *({"event": "warning", **problem} for _ in range(60)),
        *({"event": "probed", "ui_home": "/ui", f"{i}": "f" * 15_000} for i in range(90)),
        {"event": "lock", "lock": {f"{i}": "l" * 1900 for i in range(1000)}},
        {"event": "run_ended", "state": "failed", "error": problem},
    ]
    assert len(strict(folded(events(len(run), lambda number: run[number - 1])))) < SNAPSHOT_BYTES


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([BIG, 10**400, 1e308, -1, "p", "good", [], {}, deep(40), [[]] * 3000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> list[bytes]:
    """An honest journal in which some values, keys, lines and bytes are others."""
    run = honest()
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.integers(0, len(run) - 1))
        kind = draw(st.sampled_from(["value", "value", "key", "line", "swap", "copy"]))
        if kind in ("value", "key"):
            key = draw(st.sampled_from([*run[number], "facts"]) if kind == "value" else st.text(max_size=8))
            run[number] = {**run[number], key: draw(JSON)}
        elif kind == "line":
            run[number] = {
                "seq": number + 1,
                "wall": 1.0,
                "mono": draw(st.floats()),
                "event": draw(st.text(max_size=8)),
            }
        elif kind == "swap":
            run[number] = {**run[number], "seq": draw(st.integers(-1, 40))}
        else:
            run.insert(number, dict(run[number]))
    lines = [json.dumps(each).encode() for each in run]
    if draw(st.booleans()):
        number = draw(st.integers(0, len(lines) - 1))
        at = draw(st.integers(0, len(lines[number])))
        lines[number] = lines[number][:at] + draw(st.binary(max_size=4)) + lines[number][at + draw(st.integers(0, 3)) :]
    return lines


@given(mutated())
def test_any_journal_folds_or_is_refused(lines: list[bytes]) -> None:
    """And whatever came before the refused line is strict JSON of a bounded size, here and in the next service."""
    kept = folded([])
    try:
        for each in lines:
            kept = folded([each], kept)
    except ProtocolFault as fault:
        assert len(str(fault)) < 2000
    assert len(strict(kept)) < 500_000


@pytest.mark.parametrize(
    "raw",
    [b"[" * 5000, b'{"a":' * 900 + b"1" + b"}" * 900, b"[1e999]", b"[NaN]", b"\xff", b"", b"[" + b"1," * 60 + b"1]"],
)
def test_an_answer_of_a_command_has_the_same_limits(raw: bytes) -> None:
    with pytest.raises(ProtocolFault):
        loads_bounded(raw, most_bytes=100 if raw.startswith(b"[1,") else 10_000)


class Honest:
    """A day of an honest run: 400 packs, 200 GB, each figure as often as runners tell it. Counted, and its parts
    folded; two million equal lines would prove nothing more."""

    PACKS, HOURS, AT_ONCE, A_SECOND = 400, 24, 16, 4

    def parts(self) -> list[Fields]:
        names = [f"ComfyUI-Some-Node-Pack-{number}" for number in range(self.PACKS)]
        hint = "Look at the pack's log, and install it again."
        packs = [{"name": name, "repo_url": f"https://github.com/an-owner/{name}"} for name in names]
        changes = [
            {
                "package": f"a-package-with-a-name-{number}",
                "old": "1.26.4",
                "new": "2.0.1",
                "change": "change",
                "wanted_by": names[: 2 + number % 20],
                "bytes": 5 * 10**8,
                "lane": "wants_change",
            }
            for number in range(1500)
        ]
        run: list[Fields] = [
            {"event": "run_started", "task_id": "t", "version": "1", "pid": 1, "verify": True},
            {"event": "probed", "ui_home": "/ui", "gpu": [{"name": "NVIDIA H100", "memory_mib": "81559"}] * 8},
            {"event": "manifest", "source": "csv", "nodes": packs},
            *({"event": "node", "name": name, "state": "cloning"} for name in names),
            *(
                {"event": "node_progress", "name": name, "percent": at, "bytes_received": 5 * 10**6 * at, "rate": 1e6}
                for name in names
                for at in range(0, 100, 4)
            ),
            *({"event": "node", "name": name, "state": "cloned", "commit": "a" * 40} for name in names),
            *({"event": "plan", "changes": changes[at : at + 100]} for at in range(0, 1500, 100)),
            *({"event": "packages", "done": at, "total": 1500, "bytes_total": 2 * 10**11} for at in range(1500)),
            *({"event": "warning", "code": "build_failed", "message": "m" * 300, "hint": hint} for _ in range(20)),
            *({"event": "step", "name": f"step {at}", "status": "success", "detail": "d" * 100} for at in range(12)),
            {"event": "lock", "lock": {"packages": {f"a-package-with-a-name-{at}": "2.0.1" for at in range(1500)}}},
            *({"event": "node", "name": name, "state": "installed"} for name in names),
            {"event": "run_ended", "state": "completed"},
        ]
        return run


def test_an_honest_day_stays_under_half_of_every_budget() -> None:
    """400 packs and 200 GB of models in 24 hours."""
    run = Honest()
    parts = run.parts()
    lines = list(events(len(parts), lambda number: parts[number - 1]))
    ended = folded(lines)
    assert isinstance(decode(lines[-1]).body, RunEnded)
    assert (ended.state, ended.unknown_events) == (TaskState.COMPLETED, 0)
    figures = run.HOURS * 3600 * run.AT_ONCE * run.A_SECOND
    a_figure = max(len(each) for each in lines if b'"node_progress"' in each)
    spent = {
        "MAX_EVENTS": len(lines) + figures,
        "MAX_JOURNAL_BYTES": sum(map(len, lines)) + figures * a_figure,
        "MAX_LINE_BYTES": max(map(len, lines)),
        "MAX_NODES": len(ended.nodes),
        "MAX_STEPS": len(ended.steps),
        "MAX_WARNINGS": len(ended.warnings),
        "MAX_PLANNED": len(ended.plan or ()),
        "MAX_PLAN_CHARS": ended.plan_chars,
        "MAX_WANTED_BY": max(len(change.wanted_by) for change in ended.plan or ()),
        "MAX_FACTS": len(ended.probe),
        "MAX_FACT_CHARS": max(len(json.dumps(fact)) for fact in ended.probe.values()),
    }
    assert len(strict(ended)) < SNAPSHOT_BYTES / 2
    assert {name: count for name, count in spent.items() if count > getattr(budgets, name) / 2} == {}
