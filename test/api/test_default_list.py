"""The recommended list by its names: from the web, as it was kept, through an instance. The web's text is anybody's."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DefaultListUnavailable
from app.remote import web_text
from app.remote.web_text import MAX_BYTES, read_text
from app.standin.instance import StandIn
from app.sync.default_list import raw_address
from test.api.client import Api, content, service_in

CSV = "Name,RepoUrl,Subfolder,RequirementsFile\nOne,https://github.com/o/one,,\nTwo,https://github.com/o/two,,\n"
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Web:
    """A web server that answers each request with `answer`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer: Answer = text(CSV)
        self.paths: list[str] = []

    @property
    def settings(self) -> dict[str, Any]:
        return {"auto_installer_repo": f"{self.url}/o/list", "allowed_git_schemes": ("https", "http")}


def text(body: str | bytes, status: int = 200, *, length: str = "", **headers: str) -> Answer:
    """An answer with this body. `length`: that it has by its own word."""
    content = body.encode() if isinstance(body, str) else body

    def send(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": length or str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.paths.append(self.path)
            try:
                found.answer(self)
            except OSError:
                self.close_connection = True  # who asked has gone

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Web(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@contextmanager
def service(web: Web, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("HOME", str(folder))
    with service_in(folder / "service", **web.settings) as api:
        yield api


def names(shown: dict[str, Any]) -> list[str] | None:
    return None if shown["nodes"] is None else [node["name"] for node in shown["nodes"]]


def test_it_is_read_once_an_hour_and_kept(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is young is answered at once, by the next service too."""
    for _ in range(2):
        with service(web, tmp_path, monkeypatch) as api:
            shown = content(api.get("/manifests/default"))
            assert (names(shown), shown["problem"]) == (["One", "Two"], None)
            assert shown["age_seconds"] < 60
    assert web.paths == ["/o/list/raw/HEAD/scripts/custom_nodes.csv"]


def test_without_the_web_the_last_one_is_shown_with_its_age(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And why it is old. The first failure is not asked for again at once."""
    with service(web, tmp_path, monkeypatch) as api:
        content(api.get("/manifests/default"))
    file = tmp_path / "service" / "default-list.json"
    kept = json.loads(file.read_text()) | {"read_at": time.time() - 3 * 86400}
    file.write_text(json.dumps(kept))
    web.answer = text("away", 503)
    with service(web, tmp_path, monkeypatch) as api:
        for _ in range(2):
            shown = content(api.get("/manifests/default"))
            assert names(shown) == ["One", "Two"]
            assert shown["age_seconds"] > 2 * 86400
            assert shown["problem"]["code"] == "default_list_unavailable"
            assert "503" in shown["problem"]["message"]
    assert len(web.paths) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (text("<!doctype html><title>Log in</title>"), "web page"),
        (text("Name,RepoUrl\nOne,https://github.com/o/one\nTwo,file:///etc\n"), "Line 3"),
        (text("Name,RepoUrl\n../up,https://github.com/o/one\n"), "Line 2"),
        (text(b"\xff\xfe\0\0" * 100), "no list"),
        (text("x" * (MAX_BYTES + 1)), "more than 524 kB"),
        (text("", 302, Location="/again"), "from one address to the next"),
        (text("", 302, Location="file:///etc/passwd"), "no usable web address"),
        (text(CSV, length="100000"), "cut off"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-hello\r\n\r\n") and None, "gave no list"),
    ],
    ids=["page", "scheme", "path", "bytes", "large", "loop", "file", "cut", "no-http"],
)
def test_what_is_no_list_is_said_and_not_kept(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str
) -> None:
    """Whatever a server sends: an answer in time, and nothing of it is shown as a list."""
    web.answer = answer
    with service(web, tmp_path, monkeypatch) as api:
        shown = content(api.get("/manifests/default"))
    assert shown["nodes"] is None
    assert said in shown["problem"]["message"]
    assert not (tmp_path / "service" / "default-list.json").exists()


def test_a_server_that_drips_is_left_at_the_deadline(web: Web) -> None:
    """A byte now and then does not make it last."""
    gone = threading.Event()

    def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not gone.wait(0.05):
            handler.wfile.write(b"x")

    web.answer = drip
    started = time.monotonic()
    with pytest.raises(DefaultListUnavailable):
        read_text(f"{web.url}/x", 0.6)
    gone.set()
    assert time.monotonic() - started < 5


def test_the_address_of_the_file_is_that_of_the_web_server() -> None:
    """A repository that only git reaches has none."""
    for repo, address in {
        "https://github.com/o/list": "https://raw.githubusercontent.com/o/list/HEAD/a%20b.csv",
        "https://gitlab.com/o/p/list.git": "https://gitlab.com/o/p/list/raw/HEAD/a%20b.csv",
    }.items():
        assert raw_address(repo, "a b.csv") == address
    with pytest.raises(DefaultListUnavailable):
        raw_address("ssh://git@10.0.0.1/o/list", "a.csv")


@pytest.mark.sshd
def test_it_is_read_through_an_instance_that_is_trusted(
    web: Web, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only over a connection whose key is known; an address without one is a problem, not an error."""
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = {"ssh_connection": standin.ssh_command}
    with service_in(tmp_path / "service", **web.settings) as api:
        refused = content(api.post("/manifests/default", asked))
        assert (refused["nodes"], refused["problem"]["code"]) == (None, "host_key_unknown")
        api.post("/host-keys/accept", asked | {"sha256": standin.host_key_sha256})
        assert names(content(api.post("/manifests/default", asked))) == ["One", "Two"]
    assert len(web.paths) == 1


@pytest.mark.sshd
def test_what_an_instance_can_change_is_not_kept_for_others(
    web: Web, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TLS. Whoever asks next has the list from its own server."""
    asked = {"ssh_connection": standin.ssh_command}
    with service(web, tmp_path, monkeypatch) as api:
        api.post("/host-keys/accept", asked | {"sha256": standin.host_key_sha256})
        assert names(content(api.post("/manifests/default", asked))) == ["One", "Two"]
        assert not (tmp_path / "service" / "default-list.json").exists()
        web.answer = text("Name,RepoUrl\nThree,https://github.com/o/three\n")
        assert names(content(api.get("/manifests/default"))) == ["Three"]
    assert (tmp_path / "service" / "default-list.json").exists()


def test_a_sentence_has_one_full_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the reason is a whole sentence of its own."""

    def fetch(*_: object, **__: object) -> None:
        raise web_text.WebError("The host name lists.example is not known.")

    monkeypatch.setattr(web_text, "fetch", fetch)
    with pytest.raises(DefaultListUnavailable) as refused:
        web_text.read_text("https://lists.example/list.csv", 1.0)
    assert refused.value.message == "lists.example gave no list: The host name lists.example is not known."
