"""What a lying instance says is text in a browser, and in what curl, Prometheus and `cat` show of the same task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from app.protocol.events import Event, ManifestRead, NodeChanged, PhaseChanged, RunEnded, RunStarted, encode
from app.protocol.manifest import NodePack
from app.protocol.states import NodeState, Phase, StepStatus, TaskState
from bench.hostile.machines import Machines
from bench.hostile.script import Script
from test.browser.conftest import Complaints, OpenTab, complaints, context, tab
from test.cli.stories import TASK_ID
from test.support.service import ServiceProcess

__all__ = ["complaints", "context", "tab"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
STEERS = Script(number=1, seed=1, level="journal", what="steers", at=0, command="find", again=True, cancel_after=99.0)
URL = "https://example.org/o/a"
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
_WHAT_IS_READ = """() => [document.title, document.body.innerText,
  ...[...document.querySelectorAll("*")].flatMap((node) => [node.title ?? "", node.getAttribute("aria-label") ?? ""])]
  .join("\\n")"""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A run as a runner writes it, of one pack."""
    bodies = [
        RunStarted(task_id=TASK_ID, version="1", pid=7),
        PhaseChanged(phase=Phase.PROBE, status=StepStatus.SUCCESS),
        ManifestRead("nodes", (NodePack("a", URL),)),
        PhaseChanged(phase=Phase.CLONE, status=StepStatus.RUNNING),
        NodeChanged("a", NodeState.CLONING),
        NodeChanged("a", NodeState.CLONED, commit="0" * 40),
        NodeChanged("a", NodeState.INSTALLED),
        RunEnded(TaskState.COMPLETED),
    ]
    path = tmp_path / "recorded.ndjson"
    path.write_bytes(b"".join(encode(Event(body, seq, 1.0, float(seq))) for seq, body in enumerate(bodies, 1)))
    return path


@pytest.fixture
def task(tmp_path: Path, recorded: Path) -> Iterator[tuple[ServiceProcess, str]]:
    """A real service, and the task that a lying instance has played to its end."""
    with ServiceProcess(tmp_path, status_links="true") as service, Machines(recorded) as machines:
        port = machines.opened(STEERS)
        nodes = [{"name": "a", "repo_url": URL}]
        task_id = service.install(f"ssh -p {port} root@127.0.0.1", ui_home="/c", manifest={"nodes": nodes})
        service.ended(task_id)
        yield service, task_id


def steering(text: str) -> list[str]:
    """What of a text a browser or a terminal obeys."""
    return re.findall(f"[{_CONTROLS}]", text)


def assert_is_text(page: Page) -> None:
    """No mark of direction, no control, no element, no link, no script of the instance's."""
    assert steering(page.evaluate(_WHAT_IS_READ)) == []
    assert page.locator("img[src=x], a[href*='evil.invalid']").count() == 0
    assert page.title() != "1"


def test_pages_show_what_an_instance_says_as_text(
    task: tuple[ServiceProcess, str], tab: OpenTab, complaints: Complaints
) -> None:
    """The task's page with its log, plan and facts, the list of runs; the tab's title."""
    service, task_id = task
    complaints.expected.append("404")  # it has no lock to compare
    page = tab(f"{service.url}/ui/run/{task_id}")
    expect(page.locator("#rows li")).not_to_have_count(0)
    expect(page.locator("main")).to_contain_text("<img src=x onerror=")
    assert_is_text(page)
    assert steering(page.title()) == []
    for name in page.get_by_role("tab").all_inner_texts():
        page.get_by_role("tab", name=name).click()
        assert_is_text(page)
    for path in ("/ui/runs", "/ui/machines", f"/ui/compare?a={task_id}&b={task_id}"):
        assert_is_text(tab(f"{service.url}{path}"))


def test_the_page_of_a_status_link_shows_it_as_text(task: tuple[ServiceProcess, str], tab: OpenTab) -> None:
    """Whoever has the link has no session that a script could use; still there is none."""
    service, task_id = task
    page = tab(f"{service.url}{service.post(f'/runs/{task_id}/link', {}).json()['path']}")
    expect(page.get_by_role("listitem")).not_to_have_count(0)
    assert_is_text(page)
    assert steering(page.title()) == []


def test_curl_prometheus_and_cat_show_it_as_text_too(task: tuple[ServiceProcess, str]) -> None:
    """JSON in ASCII; logs as text/plain that no browser takes for a page; metrics without a word of an instance's."""
    service, task_id = task
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/log", "/tasks", "/metrics"):
        raw = requests.get(service.url + path, timeout=10).content
        assert raw.isascii() and steering(raw.decode()) == [], path
    answer = requests.get(f"{service.url}/tasks/{task_id}/log?format=text", timeout=10)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert steering(answer.text) == [] and "over\nunder\n" in answer.text
    metrics = requests.get(f"{service.url}/metrics", timeout=10).text
    assert "evil" not in metrics and "HELP x" not in metrics
    for file in (service.data_dir / "progress").glob("*.json"):
        assert steering(file.read_text("utf-8")) == []
    assert steering(service.log) == []
    refused = requests.get(
        f"{service.url}/nothing/%1b%5d52;c;x%07%e2%80%ae", headers={"Accept": "text/html"}, timeout=10
    )
    assert steering(refused.text) == [] and refused.status_code == 404
