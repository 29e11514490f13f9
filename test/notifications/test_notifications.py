"""People are told by the real Apprise, here through a receiver on loopback; what its address holds stays secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.protocol.redaction import masked
from app.settings import Settings, settings_from
from app.storage.documents import FolderDocuments
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.notifications import MOST_WAITING, Message, Notifications
from test.api.client import content, service_in
from test.support.ports import closed_port
from test.support.receiver import SECRET, Receiver
from test.support.waiting import wait_until

NEWS = Message("ssh6:12345", "31 of 34 node packs are ready, 3 failed.")


Make = Callable[..., Notifications]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[Notifications] = []

    def of(*urls: str) -> Notifications:
        opened.append(Notifications(urls, FolderDocuments(tmp_path), BackgroundTaskManager()))
        return opened[-1]

    yield of
    for each in opened:
        each.close(5)


def test_a_message_reaches_the_receiver(make: Make, receiver: Receiver) -> None:
    notifications = make(receiver.url)
    assert notifications.send(NEWS)
    wait_until(lambda: receiver.received, 10)
    assert (receiver.received[0]["title"], receiver.received[0]["message"]) == (NEWS.title, NEWS.text)
    wait_until(lambda: notifications.state()["last"], 10)
    assert notifications.state()["last"]["ok"]


def test_the_state_names_the_service_and_no_secret(make: Make, receiver: Receiver) -> None:
    state = make(receiver.url, f"discord://123456789012345678/{SECRET}abcdefabcdef").state()
    assert (state["state"], [each["service"] for each in state["receivers"]]) == ("on", ["JSON", "Discord"])
    assert SECRET not in json.dumps(state)


def test_what_an_address_holds_is_masked_everywhere(make: Make) -> None:
    make("tgram://123456789:AbCdEfGhIjKlMnOpQrStUvWxYz123456789/12315544", "mailto://me:p4ssw0rdX@mail.example")
    said = masked("bot 123456789:AbCdEfGhIjKlMnOpQrStUvWxYz123456789 said p4ssw0rdX to mail.example")
    assert "AbCdEf" not in said
    assert "p4ssw0rdX" not in said
    assert "mail.example" in said


def test_settings_never_show_the_addresses(receiver: Receiver) -> None:
    settings = settings_from({"NODEFERRY_NOTIFY_URLS": f"{receiver.url}, mailto://a:{SECRET}@m.example?to=b@x.y,c@x.y"})
    assert settings.notify_urls == (receiver.url, f"mailto://a:{SECRET}@m.example?to=b@x.y,c@x.y")
    assert SECRET not in json.dumps(settings.public())


def test_without_addresses_nobody_is_told(make: Make) -> None:
    assert not make().send(NEWS)
    assert make().state()["state"] == "off"


def test_an_unknown_address_is_told_by_its_number_and_starts_anyway(make: Make, receiver: Receiver) -> None:
    notifications = make(receiver.url, f"nosuch://{SECRET}")
    assert notifications.state()["state"] == "unusable"
    assert "number 2" in notifications.state()["problem"]
    assert not notifications.send(NEWS)


def test_the_off_switch_outlives_a_restart(make: Make, receiver: Receiver) -> None:
    make(receiver.url).switch(False)
    again = make(receiver.url)
    assert again.state()["state"] == "paused"
    assert not again.send(NEWS)
    again.switch(True)
    assert again.send(NEWS)
    wait_until(lambda: receiver.received, 10)


def test_many_at_once_are_one_message(make: Make, receiver: Receiver) -> None:
    receiver.free.clear()
    notifications = make(receiver.url)
    notifications.send(NEWS)
    assert receiver.asked.wait(10)
    for number in range(MOST_WAITING + 50):
        assert notifications.send(Message(f"machine {number}", "All are ready."))
    receiver.free.set()
    wait_until(lambda: len(receiver.received) == 2, 10)
    together = receiver.received[1]
    assert together["title"] == f"{MOST_WAITING} runs have news"
    assert together["message"].endswith(f"and {MOST_WAITING - 20} more")


def test_a_receiver_that_refuses_is_told_by_the_state(make: Make, receiver: Receiver) -> None:
    receiver.status = 500
    notifications = make(receiver.url)
    notifications.send(NEWS)
    wait_until(lambda: notifications.state()["last"], 10)
    assert not notifications.state()["last"]["ok"]


def test_the_api_switches_and_tests(tmp_path: Path, receiver: Receiver) -> None:
    with service_in(tmp_path, notify_urls=(receiver.url,)) as api:
        assert content(api.get("/notifications"))["state"] == "on"
        assert api.post("/notifications/test", {}).status_code == 202
        wait_until(lambda: receiver.received, 10)
        assert content(api.post("/notifications", {"on": False}))["state"] == "paused"
        refused = api.post("/notifications/test", {})
        assert (refused.status_code, content(refused)["error"]) == (409, "notifications_unusable")
        assert content(api.post("/notifications", {"on": "no"}))["field"] == "on"


def test_settings_without_addresses_are_the_default() -> None:
    assert Settings().notify_urls == ()


def test_the_end_of_a_run_is_told_once_with_its_sentence(tmp_path: Path, receiver: Receiver) -> None:
    with service_in(tmp_path, notify_urls=(receiver.url,)) as api:
        task_id = api.start(f"root@127.0.0.1 -p {closed_port()}", options={"wait_seconds": 0})
        api.ended(task_id)
        wait_until(lambda: receiver.received, 10)
        told = receiver.received[0]
        run = content(api.get(f"/runs/{task_id}"))
        assert (told["title"], told["message"]) == (run["machine"]["name"], f"{run['summary']['sentence']}.")
    assert len(receiver.received) == 1


def test_a_run_that_will_be_retried_is_no_news_yet(tmp_path: Path, receiver: Receiver) -> None:
    options = {"wait_seconds": 0, "auto_retry": 1}
    with service_in(tmp_path, notify_urls=(receiver.url,), retry_seconds=0.05) as api:
        first = api.start(f"root@127.0.0.1 -p {closed_port()}", options=options)
        wait_until(lambda: content(api.get(f"/tasks/{first}"))["retried_by"], 20)
        api.ended(content(api.get(f"/tasks/{first}"))["retried_by"])
        wait_until(lambda: receiver.received, 10)
    assert len(receiver.received) == 1
