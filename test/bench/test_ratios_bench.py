"""What a bench says of its ratios, and that its load measures what it says."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.load import Plan, run
from bench.polls.fleet import TOKEN, TREE
from bench.ratios import Machine, Ratio, missed, table, write
from test.support.past_records import past_record, put_past
from test.support.service import ServiceProcess

RATIOS = (
    Ratio("polls", "plain <polls>", 0.8, least=0.7, told="8 to 10 a second"),
    Ratio("polls", "event to poll", 300.0, most=250.0, unit="ms"),
    Ratio("polls", "only told", 2.0),
)


def test_a_goal_is_met_or_missed_and_the_table_the_file_and_the_picture_say_so(tmp_path: Path) -> None:
    """What has no goal is in the table alone."""
    assert [each.verdict for each in RATIOS] == ["met", "MISSED", ""]
    assert missed(RATIOS) == [RATIOS[1]]
    lines = table(RATIOS).splitlines()
    assert lines[1].split() == [
        "polls",
        "plain",
        "<polls>",
        "0.8",
        "x",
        ">=",
        "0.7",
        "x",
        "met",
        "8",
        "to",
        "10",
        "a",
        "second",
    ]
    write(RATIOS, Machine.now(), tmp_path)
    found = json.loads((tmp_path / "ratios.json").read_text())
    assert [each["met"] for each in found["ratios"]] == [True, False, None]
    drawn = "".join(ET.parse(tmp_path / "ratios.svg").getroot().itertext())
    assert "plain <polls>" in drawn and "300 ms  (<= 250 ms)" in drawn and "only told" not in drawn


@pytest.mark.slow
def test_a_load_counts_answers_and_waits(tmp_path: Path) -> None:
    """A closed loop of polls, and requests that are due, against one server: its own route and the constant body."""
    record = past_record(1)
    with ServiceProcess(tmp_path, tree=TREE, token=TOKEN):
        pass  # makes the database
    service = ServiceProcess(tmp_path, tree=TREE, token=TOKEN)
    put_past(service.data_dir, record)
    with service:
        plan = Plan(service.url.removeprefix("http://").strip("/"), [record.task_id], "patch", TOKEN, seconds=0.5)
        closed = run(plan)
        due = run(Plan(plan.host, plan.tasks, "constant", TOKEN, bytes=1234, seconds=1.0, rate=50.0))
    assert closed.answers > 16 and closed.a_second == closed.answers / closed.seconds
    assert due.bytes == 1234 and due.lost == 0 and 20 <= due.answers <= 90
    assert 0 < due.percentile(0.5) <= due.percentile(0.99)
