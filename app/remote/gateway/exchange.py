"""One request of a browser, and ComfyUI's answer to it.

h11 reads both and writes both anew, so nothing that two parsers could read differently passes through.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import h11
import paramiko

from app.domain.errors import RemoteError
from app.remote.gateway import pipe
from app.remote.gateway.access import Access, Refused
from app.remote.gateway.headers import for_browser, for_comfyui

MAX_ANSWER_HEAD = 131_072
_MOST_INTERIM = 16
_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS"})

OpenChannel = Callable[[], paramiko.Channel]
Final = h11.Response | h11.InformationalResponse
"""The answer itself, or that another protocol is switched to."""


class _NoAnswer(Exception):
    """The channel was over before a byte of an answer came."""


class Upstream:
    """The channel to ComfyUI that one connection uses for its requests, one after another."""

    def __init__(self, open_channel: OpenChannel) -> None:
        self._open = open_channel
        self.channel: paramiko.Channel | None = None
        self.is_used = False

    def ready(self) -> paramiko.Channel:
        """A channel on which nothing has come yet. Raises Refused."""
        if self.channel is not None and pipe.is_heard(self.channel):
            self.close()  # ended, or something that nobody asked for
        if self.channel is None:
            try:
                self.channel, self.is_used = self._open(), False
            except RemoteError as error:
                raise Refused(502, "ComfyUI does not answer on the instance.", code="comfyui_unreachable") from error
        return self.channel

    def close(self) -> None:
        """Ends the channel, if there is one."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None


class Exchange:
    """`run` once."""

    def __init__(self, here: socket.socket, front: h11.Connection, upstream: Upstream, access: Access) -> None:
        self._here = here
        self._front = front
        self._upstream = upstream
        self._access = access
        self._back = h11.Connection(h11.CLIENT)
        self._has_body = self._is_whole = False

    def run(self, request: h11.Request, target: bytes, pool: ThreadPoolExecutor) -> bool:
        """Whether the browser's connection can go on. Raises Refused before an answer began, and PeerGone."""
        goes_on = for_comfyui(request, self._access, target)
        if self._front.they_are_waiting_for_100_continue:
            self._answer(h11.InformationalResponse(status_code=100, headers=[]))
        try:
            final = self._ask(goes_on)
        except _NoAnswer:
            if not self._upstream.is_used or self._has_body or request.method not in _REPEATABLE:
                raise _broken() from None
            self._upstream.close()  # it was kept open, and ended while the request was under way
            final = self._ask_again(goes_on)
        if final.status_code == 101:
            self._switch(final, pool)
            return False
        return self._pass_on(final)

    def _ask_again(self, request: h11.Request) -> Final:
        try:
            return self._ask(request)
        except _NoAnswer:
            raise _broken() from None

    def _ask(self, request: h11.Request) -> Final:
        """Sends the request with its body; the answer's beginning, which may come before the body's end."""
        remote = self._upstream.ready()
        self._back = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_HEAD)
        remote.settimeout(pipe.LOOK_SECONDS)
        if self._to_comfyui(remote, self._back.send(request)):
            self._send_body(remote)
        return self._final(remote)

    def _send_body(self, remote: paramiko.Channel) -> None:
        """Until its end, or until ComfyUI answers without waiting for it."""
        while True:
            event = h11.EndOfMessage() if self._is_whole else self._front_event()
            if event is h11.NEED_DATA:
                chunk = pipe.read_body(self._here, remote)
                if chunk is None:
                    return
                self._front.receive_data(chunk)
            elif isinstance(event, h11.Data):
                self._has_body = True
                if not self._to_comfyui(remote, self._back.send(h11.Data(data=event.data))):
                    return
            else:
                self._is_whole = True
                self._to_comfyui(remote, self._back.send(h11.EndOfMessage()))
                return

    def _front_event(self) -> object:
        try:
            return self._front.next_event()
        except h11.RemoteProtocolError as exc:
            raise Refused(400, "This is not a valid HTTP request.", code="malformed_request") from exc

    @staticmethod
    def _to_comfyui(remote: paramiko.Channel, chunk: bytes | None) -> bool:
        return not chunk or pipe.send_to_comfyui(remote, chunk, may_answer=True)

    def _final(self, remote: paramiko.Channel) -> Final:
        """The answer's beginning; what comes before it (100, 103) is dropped."""
        for _ in range(_MOST_INTERIM):
            event = self._back_event(remote)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise _broken()
            if event.status_code == 101:
                return event
        raise _broken()

    def _back_event(self, remote: paramiko.Channel) -> object:
        """The next event of the answer. Raises Refused, _NoAnswer, PeerGone."""
        heard = False
        while True:
            try:
                event = self._back.next_event()
                if event is not h11.NEED_DATA:
                    return event
                chunk = pipe.read_answer(self._here, remote)
                if not chunk and not heard and self._back.their_state is h11.SEND_RESPONSE:
                    raise _NoAnswer
                heard = True
                self._back.receive_data(chunk)
            except h11.RemoteProtocolError as exc:
                raise _broken() from exc

    def _answer(self, event: h11.Event) -> None:
        chunk = self._front.send(event)
        if chunk:
            pipe.send_to_browser(self._here, chunk)

    def _pass_on(self, response: Final) -> bool:
        """The answer from its head to its end; whether both connections can go on."""
        remote = self._upstream.channel
        assert remote is not None
        self._answer(
            h11.Response(
                status_code=response.status_code,
                reason=response.reason,
                headers=for_browser(response, self._access),
            )
        )
        while True:
            try:
                event = self._back_event(remote)
            except (Refused, _NoAnswer):  # cut short: so is what the browser gets
                raise pipe.PeerGone from None
            if isinstance(event, h11.Data):
                self._answer(h11.Data(data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._answer(h11.EndOfMessage())
                break
        done = (h11.DONE, h11.DONE)
        self._upstream.is_used = True
        if (self._back.our_state, self._back.their_state) != done or self._back.trailing_data[0]:
            self._upstream.close()
        return (self._front.our_state, self._front.their_state) == done

    def _switch(self, switching: Final, pool: ThreadPoolExecutor) -> None:
        """Carries a WebSocket until both sides have ended it."""
        remote = self._upstream.channel
        assert remote is not None
        headers = for_browser(switching, self._access)
        self._answer(h11.InformationalResponse(status_code=101, reason=switching.reason, headers=headers))
        backward = pool.submit(pipe.carry, remote, self._here, self._back.trailing_data[0])
        pipe.carry(self._here, remote, self._front.trailing_data[0])
        backward.result()


def _broken() -> Refused:
    return Refused(502, "ComfyUI's answer is not valid HTTP.", code="comfyui_unreachable")
