"""Lines of logs over HTTP: read by number, searched, and the one that decided a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.protocol.redaction import register
from app.storage.log_files import BLOCK_BYTES
from app.sync import capacity
from app.sync.installs import log_lines, logs
from app.sync.installs.log_lines import deciding_number, deciding_of_run
from test.api.client import Api, closed_address, content
from test.support.chosen_engine import log_writer

MANY = 2**53
PIP = """Collecting insightface==0.7.3
  Building wheel for insightface (setup.py): started
  \x1b[31merror: subprocess-exited-with-error\x1b[0m
  x.c:1:10: fatal error: Python.h: No such file or directory
ERROR: Failed building wheel for insightface
"""


@pytest.fixture
def task_id(api: Api) -> str:
    """A task that has ended, without logs."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    return task_id


@pytest.fixture
def put(tmp_path: Path, task_id: str) -> Any:
    """Puts text into one of the task's logs."""

    def append(text: str | bytes, name: str = "run.log") -> None:
        raw = text.encode() if isinstance(text, str) else text
        with log_writer(tmp_path / "service", task_id) as writer:
            writer.append(name, writer.sizes().get(name, 0), raw)

    return append


def read(api: Api, task_id: str, query: str) -> tuple[int, str]:
    """The number of the part's first line, and its text."""
    part = content(api.get(f"/tasks/{task_id}/log?{query}"))
    return part["line"], part["text"]


class TestByNumber:
    def test_a_log_is_read_from_its_end_backwards_line_by_line(self, api: Api, task_id: str, put: Any) -> None:
        """Each part begins where a line begins and ends where the next part began: nothing is lost or repeated."""
        whole = "".join(f"line {number} {'x' * (number % 90)}\n" for number in range(1, 400))
        put(whole)
        parts: list[str] = []
        before = MANY
        while before > 1:
            line, text = read(api, task_id, f"before={before}&limit=700")
            assert text.startswith(f"line {line} ")
            parts.insert(0, text)
            before = line
        assert "".join(parts) == whole

    def test_a_line_is_found_by_its_number(self, api: Api, task_id: str, put: Any) -> None:
        """Also over the borders of what is read at once; one behind the end is the end."""
        put("".join(f"{number}\n" for number in range(1, BLOCK_BYTES // 4)))
        assert read(api, task_id, "line=1&limit=16")[1].startswith("1\n2\n")
        assert read(api, task_id, f"line={BLOCK_BYTES // 5}&limit=16")[1].startswith(f"{BLOCK_BYTES // 5}\n")
        assert read(api, task_id, f"line={MANY}&limit=16") == (BLOCK_BYTES // 4, "")

    def test_a_line_that_is_longer_than_the_limit_comes_by_its_end(self, api: Api, task_id: str, put: Any) -> None:
        """It has its number all the same."""
        put("first\n" + "y" * 5000 + "\n")
        assert read(api, task_id, "before=3&limit=100") == (2, "y" * 99 + "\n")

    def test_an_offset_tells_its_line(self, api: Api, task_id: str, put: Any) -> None:
        """What follows a log by bytes numbers its lines; a line counts from its first letter on."""
        put("a\nbb\nccc\n")
        assert [read(api, task_id, f"offset={at}")[0] for at in (0, 1, 2, 4, 5, 9)] == [1, 1, 2, 2, 3, 4]
        assert content(api.get(f"/tasks/{task_id}/log"))["lines"] == 3
        put("d")
        assert content(api.get(f"/tasks/{task_id}/log?offset=5"))["lines"] == 4


class TestSearch:
    def find(self, api: Api, task_id: str, query: str) -> Any:
        """What the route answers."""
        return content(api.get(f"/tasks/{task_id}/log/search?{query}"))

    def test_all_logs_are_searched_in_any_case_and_each_line_is_named(self, api: Api, task_id: str, put: Any) -> None:
        """By its log and its number; the text is plain, no pattern, and stands without colours and redrawn states."""
        put("start\n10 %\r 50 %\rdone: No Space left\r\nend\n")
        put("one\n\x1b[31mno \x1b[1mspace\x1b[0m left .*\n", "packages.log")
        found = self.find(api, task_id, "q=no%20SPACE%20left")
        assert found["matches"] == [
            {"log": "run", "node": None, "line": 2, "text": "done: No Space left"},
            {"log": "packages", "node": None, "line": 2, "text": "no space left .*"},
        ]
        assert found["complete"] is True
        assert len(self.find(api, task_id, "q=.*")["matches"]) == 1
        assert self.find(api, task_id, "q=50%20%25")["matches"] == []
        assert len(self.find(api, task_id, "q=left&log=packages")["matches"]) == 1

    def test_it_says_when_there_are_more(self, api: Api, task_id: str, put: Any) -> None:
        """At the limit of lines; exactly as many are all."""
        put("again\n" * 30)
        some = self.find(api, task_id, "q=again&limit=20")
        assert (len(some["matches"]), some["complete"]) == (20, False)
        assert self.find(api, task_id, "q=again&limit=30")["complete"] is True

    def test_it_ends_when_its_time_is_over(
        self, api: Api, task_id: str, put: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was not read is not said to be empty."""
        put("again\n")
        monkeypatch.setattr(logs, "SEARCH_SECONDS", -1.0)
        assert self.find(api, task_id, "q=again") == {
            "success": True,
            "task_id": task_id,
            "matches": [],
            "complete": False,
        }

    def test_nobody_finds_out_a_secret_by_guessing(self, api: Api, task_id: str, put: Any) -> None:
        """What is masked is not found, neither by its shape nor by its value, and lines keep their numbers."""
        register("Sesame-4711-open-0815")
        put("git clone https://me:Hunter2Hunter2@example.com/x\nSesame-4711-open-0815\nbelow\n")
        for guess in ("hunter2", "https://me:h", "sesame", "0815"):
            assert self.find(api, task_id, f"q={guess}")["matches"] == []
        assert "***" in self.find(api, task_id, "q=example.com")["matches"][0]["text"]
        assert self.find(api, task_id, "q=below")["matches"][0]["line"] == 3

    def test_of_a_long_line_the_part_with_the_text_is_told(self, api: Api, task_id: str, put: Any) -> None:
        """An answer stays small, whatever a log has."""
        put("x" * 400_000 + "needle" + "y" * 400_000 + "\n")
        [match] = self.find(api, task_id, "q=needle")["matches"]
        assert "needle" in match["text"] and len(match["text"]) <= log_lines.MAX_LINE_CHARS + 1
        assert match["line"] == 1

    def test_bytes_that_are_no_text_harm_nothing(self, api: Api, task_id: str, put: Any) -> None:
        """They are searched around."""
        put(b"\xff\xfe\x00\x9b31m\nfound\n")
        assert self.find(api, task_id, "q=found")["matches"][0]["line"] == 2

    @pytest.mark.parametrize(
        ("query", "status", "field"),
        [
            ("", 400, "q"),
            ("q=", 400, "q"),
            ("q=%20%20", 400, "q"),
            (f"q={'x' * 201}", 400, "q"),
            ("q=x&limit=0", 400, "limit"),
            ("q=x&limit=1001", 400, "limit"),
            ("q=x&node=Nobody", 404, "node"),
            ("q=x&log=../x", 404, "log"),
        ],
    )
    def test_what_cannot_be_searched_is_named(
        self, api: Api, task_id: str, query: str, status: int, field: str
    ) -> None:
        """By its field."""
        answer = api.get(f"/tasks/{task_id}/log/search?{query}")
        assert (answer.status_code, content(answer)["field"]) == (status, field)

    def test_only_a_few_search_at_once(self, api: Api, task_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The others are told to come again, and polls are answered."""
        monkeypatch.setattr(capacity.Capacity, "acquire", lambda *_: None)
        answer = api.get(f"/tasks/{task_id}/log/search?q=x")
        assert (answer.status_code, content(answer)["error"]) == (503, "service_busy")


class TestDecidingLine:
    def test_the_reason_of_a_run_tells_its_line(self, api: Api, task_id: str, put: Any) -> None:
        """Only where it is asked for."""
        message = api.progress(task_id)["error"]["message"]
        put(f"start\nfailed: {message}\n{message}\nend\n")
        assert content(api.get(f"/tasks/{task_id}/log?deciding=true"))["deciding_line"] == 3
        assert content(api.get(f"/tasks/{task_id}/log"))["deciding_line"] is None

    def test_the_whole_run_is_decided_by_what_its_log_has(self) -> None:
        """The first reason that it quotes; a guess only of a run that failed itself, and never of idle words."""
        log = "start\nERROR: No matching distribution found for taichi\nfatal: repository not found\nthe end\n"
        quoted = ["Nobody said this.", "The clone failed. (fatal: repository not found)"]
        assert deciding_of_run(log, quoted, has_failed=False) == 3
        assert deciding_of_run(log, ["Nobody said this."], has_failed=False) is None
        assert deciding_of_run(log, ["Nobody said this."], has_failed=True) in (2, 3)
        assert deciding_of_run("start\nworking\n", ["Nobody said this."], has_failed=True) is None

    @pytest.mark.parametrize(
        ("message", "line"),
        [
            ("A package could not be built. (x.c:1:10: fatal error: Python.h: No such file or directory)", 4),
            ("It ended with status 1.", 4),
        ],
    )
    def test_it_is_the_line_that_the_reason_quotes_or_the_rule_finds(self, message: str, line: int) -> None:
        """Without colours, frames and what stands around it."""
        assert deciding_number(PIP, message) == line

    def test_a_log_without_words_has_none(self) -> None:
        """Nothing is marked then."""
        assert deciding_number("", "It ended.") is None
        assert deciding_number("---\n***\n", "It ended.") is None
