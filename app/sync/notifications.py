"""Tells people elsewhere (Discord, Telegram, mail, ntfy and others) that a run has ended or needs them.

Apprise, an optional library, knows these services; the setting `notify_urls` has their addresses, which hold secrets.
Messages are sent by threads of their own, at most once each: a receiver that does not answer holds up no install, and
no other receiver. What an instance has said of itself mentions nobody there, and is no link.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from app.protocol import progress_json, redaction
from app.protocol.terminal_text import one_line
from app.storage.documents import Documents
from app.storage.errors import StorageError
from app.sync.background_tasks import BackgroundTaskManager
from app.words import word

FILE_NAME = "notifications.json"
MOST_WAITING = 100
"""With more the oldest are left out."""
MOST_SINGLE = 3
"""More that wait are sent as one message: a fleet of a hundred machines is no reason for a hundred messages."""
MOST_LINES = 20
MOST_CHARS = 300
"""Of a title or a sentence."""
AT_ONCE, PAUSE_SECONDS = 5, 60.0
"""After so many messages one a minute is sent, with all that wait in it."""
DELIVER_SECONDS = 30.0
"""A receiver that has not answered by then gets nothing more until it has."""
_MENTION = re.compile(r"(?<![\w*])@(?=\w)|<(?=[@!#])")
_SCHEME = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://", re.IGNORECASE)
_LEAST_SECRET = 6
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. `title`: the machine; `text`: how its run stands, in a sentence."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The last message's fate: when (Unix seconds), and whether every receiver took it."""

    at: float
    ok: bool


class Notifications:
    """Of one service. Any thread.

    Without `notify_urls` it does nothing. Where they cannot be used, that is the state's to say: it keeps no install
    from starting.
    """

    def __init__(self, urls: Sequence[str], documents: Documents, background: BackgroundTaskManager) -> None:
        self._documents = documents
        self._background = background
        self._changed = threading.Condition()
        self._waiting: deque[Message] = deque(maxlen=MOST_WAITING)
        self._closing = False
        self._thread = f"notifications-{uuid.uuid4()}"
        self._sent: Sent | None = None
        self._on = _read(documents)
        self._problem: str | None = None
        self._apprises: list[Any] = []
        self._busy: set[int] = set()
        """The receivers, by their places, that have not answered yet."""
        self._left, self._left_at = float(AT_ONCE), time.monotonic()
        """How many messages may be sent at once, as of when."""
        self._receivers: list[dict[str, str]] = []
        for url in urls:
            register_secrets(url)
        if urls:
            self._set_up(urls)

    def state(self) -> dict[str, Any]:
        """`state`: off (nobody is set), unusable, paused or on; `receivers`: service and masked address of each."""
        word_of = "paused" if not self._is_switched_on() else "on"
        if self._problem:
            word_of = "unusable"
        elif not self._receivers:
            word_of = "off"
        sent = self._sent
        return {
            "state": word_of,
            "receivers": self._receivers,
            "problem": self._problem,
            "last": {"at": progress_json.iso(sent.at), "ok": sent.ok} if sent else None,
        }

    @property
    def is_on(self) -> bool:
        """Whether somebody would be told now."""
        return bool(self._apprises) and self._is_switched_on()

    def _is_switched_on(self) -> bool:
        """Another process that shares the documents may have switched it."""
        if self._documents.is_common:
            self._on = _read(self._documents, self._on)
        return self._on

    def switch(self, on: bool) -> None:
        """Sends from now on, or no more. A restart keeps it. Raises StorageError."""
        self._documents.write(FILE_NAME, json.dumps({"on": on}).encode())
        with self._changed:
            self._on = on
            if not on:
                self._waiting.clear()

    def send(self, message: Message) -> bool:
        """Sends it soon, unless this is switched off. Whether it will be sent. Returns at once."""
        with self._changed:
            if not self.is_on or self._closing:
                return False
            self._waiting.append(Message(harmless(message.title), harmless(message.text)))
            self._changed.notify_all()
            if not self._background.is_task_running(self._thread):
                self._background.start_task(self._thread, self._work)
        return True

    def close(self, timeout: float) -> None:
        """Sends nothing more, within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._background.wait(self._thread, timeout)

    def _set_up(self, urls: Sequence[str]) -> None:
        try:
            import apprise
        except ImportError:
            self._problem = word("notify.not_installed")
            return
        # Its log names receivers in full where it cannot reach them.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        asset = apprise.AppriseAsset(app_id="Nodeferry", app_desc="Nodeferry", app_url="", async_mode=False)
        found = [apprise.Apprise(asset=asset) for _ in urls]
        wrong = [number for number, (each, url) in enumerate(zip(found, urls, strict=True), 1) if not each.add(url)]
        if wrong:
            self._problem = word("notify.wrong_address", number=", ".join(map(str, wrong)))
            return
        self._apprises = found
        self._receivers = [
            {"service": str(each.service_name or each.secure_protocol), "address": _masked_address(each)}
            for one in found
            for each in one
        ]

    def _work(self) -> None:
        while (message := self._next()) is not None:
            ok = self._deliver(message)
            self._sent = Sent(time.time(), ok)
            if not ok:
                _log.warning("a notification did not reach every receiver")

    def _next(self) -> Message | None:
        with self._changed:
            while not self._closing and not (self._waiting and self._pause() <= 0):
                self._changed.wait(self._pause() if self._waiting else None)
            if self._closing:
                return None
            self._left -= 1.0
            if len(self._waiting) <= MOST_SINGLE:
                return self._waiting.popleft()
            together = list(self._waiting)
            self._waiting.clear()
        return _joined(together)

    def _pause(self) -> float:
        """Seconds until one more message may be sent."""
        now = time.monotonic()
        self._left = min(float(AT_ONCE), self._left + (now - self._left_at) / PAUSE_SECONDS)
        self._left_at = now
        return (1.0 - self._left) * PAUSE_SECONDS

    def _deliver(self, message: Message) -> bool:
        """Sends it to every receiver that has answered before; whether all took it in time."""
        took: dict[int, bool] = {}
        with self._changed:
            free = [place for place in range(len(self._apprises)) if place not in self._busy]
            self._busy.update(free)
        for place in free:
            self._background.start_task(f"{self._thread}-{uuid.uuid4()}", self._send_to, place, message, took)
        with self._changed:
            self._changed.wait_for(lambda: self._closing or len(took) == len(free), DELIVER_SECONDS)
            return len(took) == len(self._apprises) and all(took.values())

    def _send_to(self, place: int, message: Message, took: dict[int, bool]) -> None:
        import apprise

        ok = False
        try:
            text = apprise.NotifyFormat.TEXT
            ok = bool(self._apprises[place].notify(title=message.title, body=message.text, body_format=text))
        except (OSError, ValueError, TypeError) as exc:
            _log.warning("a notification was not sent: %s", redaction.masked(str(exc)))
        finally:
            with self._changed:
                took[place] = ok
                self._busy.discard(place)
                self._changed.notify_all()


def harmless(text: str) -> str:
    """A text for people elsewhere: one line without secrets, which mentions nobody (`@everyone`) and links nowhere."""
    cut = one_line(redaction.masked(text))[:MOST_CHARS]
    return _MENTION.sub("\\g<0>\u200b", _SCHEME.sub("", cut))


def register_secrets(url: str) -> None:
    """Masks whatever in a receiver's address may be a secret: each of its parts but the host's name."""
    redaction.register(url)
    redaction.register_text(url)
    _, _, rest = url.partition("://")
    before, _, query = rest.partition("?")
    account, at, place = before.rpartition("@")
    host, *path = place.split("/")
    name, _, port = host.partition(":")
    # Many services have a token where others have a host: discord://ID/TOKEN, tgram://ID:TOKEN/CHAT.
    is_host = bool(at) or "." in name or port.isdigit()
    parts = [*account.split(":"), *path, *([] if is_host else [host, name, port])]
    parts += [value for _, _, value in (pair.partition("=") for pair in query.split("&"))]
    for part in parts:
        if len(unquote(part)) >= _LEAST_SECRET:
            redaction.register(part)


def _masked_address(receiver: Any) -> str:
    scheme, found, _ = str(receiver.url(privacy=True)).partition("://")
    host = str(receiver.host or "") if "." in str(receiver.host or "") else ""
    return f"{scheme}{found}{host or redaction.MASK}"


def _joined(messages: Sequence[Message]) -> Message:
    lines = [f"{each.title}: {each.text}" for each in messages[:MOST_LINES]]
    more = len(messages) - len(lines)
    if more:
        lines.append(word("notify.more", n=more))
    return Message(word("notify.together", n=len(messages)), "\n".join(lines))


def _read(documents: Documents, known: bool = True) -> bool:
    try:
        return bool(json.loads(documents.read(FILE_NAME) or b"{}").get("on", True))
    except (StorageError, ValueError, AttributeError) as exc:
        _log.warning("whether notifications are on is not known: %s", exc)
        return known
