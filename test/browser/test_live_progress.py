"""What gives a page its news: a stream of patches, polls where there is none, and the truth while nothing answers."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from playwright.sync_api import Page

from app.standin.instance import StandIn
from app.webui.assets import modules
from app.webui.bundle import joined
from test.browser.conftest import Complaints, OpenTab
from test.support.patching import Json
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
END = 60_000
FOLLOW = """([task, initial]) => {
  globalThis.seen = { news: 0, changed: [], lost: [], back: 0 };
  const news = (progress, changed) => {
    seen.news += 1;
    seen.progress = progress;
    seen.changed.push([...changed]);
  };
  const lost = (error, seconds) => seen.lost.push(seconds);
  globalThis.live = new LiveProgress(task, { initial, news, lost, back: () => { seen.back += 1; } }).start();
}"""


@pytest.fixture
def task_id(service: ServiceProcess, standin: StandIn, urls: list[str], heavy: threading.Event) -> str:
    """An install that waits in the clone of the heavy pack."""
    assert not heavy.is_set()
    return service.install(standin, manifest={"urls": urls})


class Follower:
    """A page that follows a task, and what it asks the service."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url.partition("?")[0].rpartition("/")[2]))

    def follow(self, task_id: str, initial: Json | None = None) -> None:
        """From now on."""
        source = joined("js/core/live.js", modules())
        self.page.evaluate(f"() => {{ {source}; globalThis.LiveProgress = LiveProgress; }}")
        self.page.evaluate(FOLLOW, [task_id, initial])

    def until(self, condition: str) -> None:
        """Waits."""
        self.page.wait_for_function(f"() => {condition}", timeout=END)

    @property
    def progress(self) -> Json:
        """What the page knows."""
        found: dict[str, Any] = self.page.evaluate("() => seen.progress")
        return found


def test_a_page_gets_each_change_by_its_stream(
    service: ServiceProcess, task_id: str, tab: OpenTab, heavy: threading.Event
) -> None:
    """Without a poll where the page carries a progress; only rows that changed are named; at the end all is known."""
    follower = Follower(tab(f"{service.url}/ui/history"))
    follower.follow(task_id, service.progress(task_id))
    follower.until("seen.progress.nodes.find((row) => row.name === 'heavy')?.clone_progress > 20")
    heavy.set()
    follower.until("seen.progress.completed")
    assert follower.asked.count("progress") == 0
    assert follower.asked.count("events") >= 1
    changed = follower.page.evaluate("() => seen.changed")
    assert ["heavy"] in changed
    whole = service.progress(task_id)
    volatile = {"elapsed_seconds", "elapsed_time", "last_event_seconds_ago"}
    assert {name for name in whole if follower.progress[name] != whole[name]} <= volatile
    assert follower.page.evaluate("() => live.poller.stopped")


def test_a_second_tab_polls_for_patches(
    service: ServiceProcess, task_id: str, tab: OpenTab, heavy: threading.Event
) -> None:
    """A browser has one stream."""
    followers = [Follower(tab(f"{service.url}/ui/history")) for _ in range(2)]
    for follower in followers:
        follower.follow(task_id)
        follower.until("seen.progress?.nodes.length === 3")
    heavy.set()
    for follower in followers:
        follower.until("seen.progress.completed")
    assert followers[1].asked.count("progress") > 1


def test_a_service_that_is_away_is_told_and_found_again(
    service: ServiceProcess, task_id: str, tab: OpenTab, heavy: threading.Event, complaints: Complaints
) -> None:
    """With the seconds since it spoke; a restarted one tells everything anew."""
    complaints.expected += ["ERR_"]
    follower = Follower(tab(f"{service.url}/ui/history"))
    follower.follow(task_id)
    follower.until("seen.progress?.nodes.some((row) => row.clone_progress > 20)")
    service.kill()
    follower.until("seen.lost.length > 1")
    lost = follower.page.evaluate("() => seen.lost")
    assert lost == sorted(lost)
    service.start(int(service.url.rpartition(":")[2]))
    heavy.set()
    follower.until("seen.back === 1 && seen.progress.completed")
    assert follower.progress["nodes"] == service.progress(task_id)["nodes"]
