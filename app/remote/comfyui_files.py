"""Puts a workflow into the list of a ComfyUI, by its own API for a user's files (`/userdata`), through SSH.

A file that is there is never overwritten: another one of that name gives the next name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import h11

from app.domain.errors import RemoteError
from app.remote.deadline import Deadline
from app.remote.host import RemoteHost

FOLDER = "workflows"
MAX_NAME = 80
_MOST_ANSWER = 20 * 1024 * 1024
_PIECE = 64 * 1024
_TRIES = 9
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%#\u2028\u2029\u202a-\u202e\u2066-\u2069]+')
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})


class NotTaken(Exception):
    """ComfyUI did not take the file; the message says why."""


def safe_name(name: str | None) -> str:
    """A file's name as every system takes it, without its ending: never a path, never empty."""
    text = (name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    text = re.sub(r"\.(json|png|webp|mp4|webm|mkv|mov|flac|opus|ogg)$", "", text, flags=re.IGNORECASE)
    text = "".join(each for each in _NOT_IN_NAMES.sub("_", text) if each.isprintable())[:MAX_NAME].strip(" .")
    return text if text and text.lower() not in _RESERVED else "workflow"


def save_workflow(host: RemoteHost, port: int, name: str, graph: Mapping[str, Any], seconds: float) -> str:
    """Where ComfyUI has it now, as its list shows it. Raises NotTaken."""
    comfyui = _Web(host, port, Deadline(seconds, "ComfyUI"))
    content = json.dumps(graph, ensure_ascii=False).encode("utf-8", "replace")
    for number in range(1, _TRIES + 1):
        path = f"{FOLDER}/{name}{'' if number == 1 else f' ({number})'}.json"
        target = f"/userdata/{quote(path, safe='')}"
        try:
            status, _ = comfyui.ask("POST", f"{target}?overwrite=false", content)
            if status == 409 and _is_equal(comfyui.ask("GET", target), graph):
                return path
        except (OSError, ValueError, RemoteError, h11.ProtocolError) as exc:
            raise NotTaken(f"ComfyUI did not answer when it was given the workflow: {exc}"[:300]) from exc
        if status == 200:
            return path
        if status != 409:
            raise NotTaken(f"ComfyUI did not take the workflow into its list: it answered {status}.")
    raise NotTaken(f"ComfyUI has {_TRIES} other workflows of the name {name}.")


def _is_equal(answer: tuple[int, bytes], graph: Mapping[str, Any]) -> bool:
    try:
        return answer[0] == 200 and bool(json.loads(answer[1]) == graph)
    except (ValueError, RecursionError):
        return False


@dataclass(frozen=True, slots=True)
class _Web:
    """The ComfyUI at a port of the instance, and until when it may answer."""

    host: RemoteHost
    port: int
    deadline: Deadline

    def ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and the content of one answer. Raises OSError, ValueError, RemoteError, ProtocolError."""
        self.deadline.check("asking ComfyUI")
        stream = self.host.open_tunnel("127.0.0.1", self.port, self.deadline.remaining)
        try:
            return self._exchange(stream, method, target, body)
        finally:
            stream.close()

    def _exchange(self, stream: Any, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        connection = h11.Connection(h11.CLIENT)
        headers = [("Host", f"127.0.0.1:{self.port}"), ("User-Agent", "nodeferry"), ("Connection", "close")]
        headers += [("Content-Length", str(len(body))), ("Content-Type", "application/json")] if body else []
        request = h11.Request(method=method, target=target, headers=headers)
        sent = [connection.send(request), connection.send(h11.Data(data=body)), connection.send(h11.EndOfMessage())]
        stream.settimeout(self.deadline.remaining)
        stream.sendall(b"".join(part or b"" for part in sent))
        status, content = 0, bytearray()
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                self.deadline.check("asking ComfyUI")
                stream.settimeout(self.deadline.remaining)
                connection.receive_data(stream.recv(_PIECE))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.ConnectionClosed):
                raise ValueError("it ended the connection")
            if len(content) > _MOST_ANSWER:
                raise ValueError("its answer is too large")
        return status, bytes(content)
