"""Reads what is at an address on the web, so that a cancel or a deadline always gets through: a thread of its own
reads, for a name may be looked up for minutes."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping, Optional, Tuple

_PIECE = 256 * 1024
_LOOK_SECONDS = 0.2
_SOCKET_SECONDS = 120.0
_MOST_WAITING = 16


@dataclass
class Answer:
    """What came. `pieces` raises OSError where the line is cut or silent for too long, and whatever `check` raises."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]

    @property
    def length(self) -> Optional[int]:
        """The body's bytes, where the server says them."""
        said = self.headers.get("content-length", "")
        return int(said) if said.isdigit() and len(said) < 16 else None

    @property
    def wait_seconds(self) -> float:
        """For how long the server wants to be left alone, where it says so in seconds."""
        said = self.headers.get("retry-after", "").strip()
        return float(said) if said.isdigit() and len(said) < 7 else 0.0


class WebReader:
    """One request. `check` is called all the time, and may raise; `idle`: seconds of silence that end it."""

    def __init__(
        self, url: str, check: Callable[[], None], idle: float, headers: Optional[Mapping[str, str]] = None
    ) -> None:
        self._url, self._check, self._idle = url, check, idle
        self._headers = {"User-Agent": "nodeferry", "Accept-Encoding": "identity", **(headers or {})}
        self._came: queue.Queue[Tuple[str, Any]] = queue.Queue(_MOST_WAITING)
        self._given_up = threading.Event()

    def __enter__(self) -> Answer:
        threading.Thread(target=self._read, name="web-reader", daemon=True).start()
        try:
            kind, value = self._next()
        except BaseException:
            self._given_up.set()
            raise
        if kind == "error":
            raise value
        status, headers = value
        return Answer(status, headers, self._pieces())

    def __exit__(self, *_: object) -> None:
        self._given_up.set()

    def _pieces(self) -> Iterator[bytes]:
        while True:
            kind, value = self._next()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value

    def _next(self) -> Tuple[str, Any]:
        ends = time.monotonic() + self._idle
        while True:
            self._check()
            try:
                return self._came.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if time.monotonic() > ends:
                    raise TimeoutError("no data for %d seconds" % self._idle) from None

    def _put(self, kind: str, value: Any) -> bool:
        while not self._given_up.is_set():
            try:
                self._came.put((kind, value), timeout=_LOOK_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def _read(self) -> None:
        from http.client import HTTPException

        try:
            self._read_all()
        except (HTTPException, ValueError) as exc:
            self._put("error", OSError(str(exc) or type(exc).__name__))
        except OSError as exc:
            self._put("error", exc)

    def _read_all(self) -> None:
        import urllib.error
        import urllib.request

        request = urllib.request.Request(self._url, headers=self._headers)  # noqa: S310 - http(s) alone
        try:
            response: Any = web_opener().open(request, timeout=_SOCKET_SECONDS)
        except urllib.error.HTTPError as exc:
            response = exc
        with response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            going = self._put("head", (response.status, headers))
            while going:
                piece = response.read1(_PIECE)
                going = bool(piece) and self._put("data", piece)
            self._put("end", None)


def web_opener() -> Any:
    """Opens addresses of the web, and goes where a server leads: never from https to an address without, nor out of the
    web."""
    import urllib.request

    class Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *about: Any, **more: Any) -> Any:
            request = super().redirect_request(*about, **more)
            if request is not None and not _may_follow(about[0].full_url, request.full_url):
                raise OSError("it leads to an address without TLS, or out of the web")
            return request

    return urllib.request.build_opener(Redirects)


def _may_follow(url: str, target: str) -> bool:
    schemes = ("https:",) if url.startswith("https:") else ("https:", "http:")
    return target.lower().startswith(schemes)
