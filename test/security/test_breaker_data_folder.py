"""What others find in a data folder, and what a data folder of others gets from the command line."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from app.cli.server.service_lock import FILE_NAME
from app.domain.access import Scope, Token, digest_of
from app.storage.documents import FolderDocuments
from app.storage.errors import StorageError
from app.storage.log_files import LogFiles
from app.storage.private_file import write_private
from app.storage.token_file import TokenFile
from app.sync.sessions import Sessions
from test.support.service import ROOT, ServiceProcess

pytestmark = pytest.mark.slow
TASK = "550e8400-e29b-41d4-a716-446655440000"
NOBODY = 65534
CHOSEN = "a token of another service, and long"
ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def command(*words: str, home: Path, umask: int = -1, token: str = "") -> subprocess.CompletedProcess[str]:
    """What a command line of this user does."""
    environ = {**os.environ, "HOME": str(home), "NODEFERRY_TOKEN": token}
    argv = [sys.executable, "run.py", *words]
    return subprocess.run(
        argv, cwd=ROOT, env=environ, capture_output=True, text=True, umask=umask, timeout=60, check=False
    )


def test_folders_of_logs_are_private_whatever_the_umask_is(tmp_path: Path) -> None:
    """The one that holds those of all tasks too."""
    before = os.umask(0)
    try:
        with LogFiles(tmp_path / "data" / "logs").writing(TASK):
            pass
    finally:
        os.umask(before)
    made = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_command_that_starts_its_own_service_closes_the_folder_too(tmp_path: Path) -> None:
    """Not only `serve`: who installs by hand has the same secrets there."""
    folder = tmp_path / "data"
    (folder / "progress").mkdir(parents=True)
    for path in (folder, folder / "progress"):
        path.chmod(0o777)
    assert command("tasks", "list", "--data-dir", str(folder), home=tmp_path, umask=0).returncode == 0
    made = [folder, *folder.rglob("*")]
    assert [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


@ONLY_ROOT
def test_a_command_starts_no_service_in_a_folder_of_another_user(tmp_path: Path) -> None:
    """Who owns it could replace its database."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    refused = command("tasks", "list", "--data-dir", str(folder), home=tmp_path)
    assert refused.returncode == 1
    assert "belongs to another user" in refused.stderr
    assert list(folder.iterdir()) == []


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server of somebody else: its address, and what `Authorization` it was sent, "" for none."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()


@ONLY_ROOT
def test_a_folder_of_another_user_that_names_an_address_gets_no_token(tmp_path: Path) -> None:
    """It may name any. By --server, which names it too, the token is sent; in a folder of one's own too."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    place = folder / FILE_NAME
    with listening() as (url, heard), place.open("w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps({"url": url, "pid": 1}))
        lock.flush()
        for owner in (NOBODY, 0):
            os.chown(place, owner, owner)
            command("tasks", "list", "--data-dir", str(folder), home=tmp_path, token=CHOSEN)
        command("tasks", "list", "--server", url, home=tmp_path, token=CHOSEN)
    assert heard == ["", f"Bearer {CHOSEN}", f"Bearer {CHOSEN}"]


def test_an_address_that_was_opened_at_a_wrong_port_is_no_secret_in_the_log(tmp_path: Path) -> None:
    """That of a tunnel, or a token in the place of a path; with a body and without, let in or not."""
    secrets = ("/nodeferry-open/CAP-SECRET/", "/nodeferry-open/CAP-SECRET", "/x/ndf_TOKEN-SECRET", "/%0a/ndf_SECRET")
    with ServiceProcess(tmp_path, token=CHOSEN) as service:
        for path in secrets:
            for headers in ({}, {"Authorization": f"Bearer {CHOSEN}"}):
                requests.get(service.url + path, headers=headers, timeout=10)
                requests.post(service.url + path, headers=headers, data=b"x" * 10, timeout=10)
        assert service.log.count("status=401") == 2 * len(secrets)
        assert "SECRET" not in service.log


DAMAGED = ("[]", "null", "5", "[" * 100_000, "{" * 100_000, "\xff", "{}" * 2)
TOKEN = '{"tokens": [{"name": "a", "scope": "all", "sha256": "\u00e9", "created_at": "x"}]}'
SESSION = '{"%s": {"token": "%s", "bound": "\u00e9", "expires_at": %s}}'


@pytest.mark.parametrize("text", [*DAMAGED, TOKEN, TOKEN.replace('"a"', "[]")])
def test_a_damaged_file_of_tokens_is_named(tmp_path: Path, text: str) -> None:
    """Nobody is let in by it, and it is no bug."""
    write_private(tmp_path / "tokens.json", text.encode("utf-8"))
    with pytest.raises(StorageError, match=r"tokens\.json cannot be used: it is damaged"):
        TokenFile(tmp_path).all()


@pytest.mark.parametrize("end", [*DAMAGED, "1e400", "NaN", "9e14"])
def test_a_damaged_file_of_sessions_lets_nobody_in_and_stops_nothing(tmp_path: Path, end: str) -> None:
    """Who had logged in does so again."""
    token = Token("a", Scope.ALL, digest_of("secret"))
    text = end if end in DAMAGED else SESSION % (digest_of("id"), token.name, end)
    write_private(tmp_path / "sessions.json", text.encode("utf-8"))
    sessions = Sessions(FolderDocuments(tmp_path), 60.0)
    assert sessions.find(["id"], {token.name: token}) is None
    made, _ = sessions.begin(token)
    assert Sessions(FolderDocuments(tmp_path), 60.0).find([made], {token.name: token}) is not None
