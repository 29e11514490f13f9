"""The git server is real git over HTTP, and behaves as badly as it is told."""

from __future__ import annotations

import gzip
import http.client
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from app.standin.git_rules import MISSING, PRIVATE, RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.support.waiting import wait_until

ALONE = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/dev/null", "LC_ALL": "C"}


def git(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run git without anybody's configuration."""
    command = ["git", *map(str, arguments)]
    environment = {**ALONE, "PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_it_works(git_server: GitServer, tmp_path: Path) -> None:
    """A shallow clone brings the files and HEAD, by the address with and without `.git`."""
    pack = make_pack(git_server, "owner", "pack", files={"a.txt": "hello"}, history=3)
    for number, url in enumerate((pack.url, f"{pack.url}.git")):
        assert git("clone", "--depth", "1", url, tmp_path / str(number)).returncode == 0
    assert (tmp_path / "1" / "a.txt").read_text() == "hello"
    assert git("-C", tmp_path / "0", "rev-parse", "HEAD").stdout.strip() == pack.commit
    assert git("-C", tmp_path / "0", "rev-list", "--count", "HEAD").stdout == "1\n"


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_it_speaks_each_version_of_the_protocol(git_server: GitServer, tmp_path: Path, version: str) -> None:
    """The version that a client asks for is the one that git gets to hear of."""
    pack = make_pack(git_server, "owner", "pack")
    assert git("-c", f"protocol.version={version}", "clone", pack.url, tmp_path / "c").returncode == 0
    asked = {request.protocol for request in git_server.requests("owner/pack")}
    assert asked == ({f"version={version}"} if version != "0" else {""})


def test_a_commit_can_be_fetched_by_its_hash(git_server: GitServer, tmp_path: Path) -> None:
    """As GitHub allows it, also for a commit that no ref points to directly."""
    pack = make_pack(git_server, "owner", "pack", history=3)
    git("init", "-q", tmp_path / "c")
    assert git("-C", tmp_path / "c", "fetch", "--depth", "1", pack.url, pack.commits[0]).returncode == 0
    assert git("-C", tmp_path / "c", "rev-parse", "FETCH_HEAD").stdout.strip() == pack.commits[0]


def test_a_long_negotiation_is_understood(git_server: GitServer, tmp_path: Path) -> None:
    """Many haves make a long request, which git sends compressed."""
    pack = make_pack(git_server, "owner", "pack", history=400)
    other = make_pack(git_server, "owner", "other", history=2, files={"b": "b"})
    git("clone", "-q", pack.url, tmp_path / "c")
    done = git("-C", tmp_path / "c", "fetch", other.url, "main")
    assert done.returncode == 0, done.stderr


def test_a_missing_and_a_private_one_fail_as_on_github(git_server: GitServer, tmp_path: Path) -> None:
    """404 is "not found"; 401 makes git ask for a user name."""
    make_pack(git_server, "o", "gone")
    make_pack(git_server, "o", "private")
    git_server.set_rule("o/gone", MISSING)
    git_server.set_rule("o/private", PRIVATE)
    for name in ("gone", "never-there"):
        assert "not found" in git("clone", f"{git_server.url}/o/{name}", tmp_path / name).stderr
    assert "could not read Username" in git("clone", f"{git_server.url}/o/private", tmp_path / "p").stderr
    assert [request.status for request in git_server.requests("o/private")] == [401]


def test_the_login_challenge_is_githubs(git_server: GitServer) -> None:
    """A 401 names the realm."""
    git_server.set_rule("o/p", PRIVATE)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{git_server.url}/o/p/info/refs?service=git-upload-pack")
    with caught.value as answer:
        assert (answer.code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="GitHub"')


@pytest.mark.parametrize(
    "path",
    [
        "/o/../../etc/passwd/info/refs?service=git-upload-pack",
        "/../o/p/info/refs?service=git-upload-pack",
        "/o/%2e%2e/info/refs?service=git-upload-pack",
        "/o/p.git/config",
        "/o/p.git/HEAD",
        "/o/p/info/refs",
        "/o/p/info/refs?service=git-receive-pack",
        "/o/p/git-receive-pack",
        "/",
    ],
)
def test_nothing_but_fetches_is_answered(git_server: GitServer, path: str) -> None:
    """No path leads out of the folder, none to a file, and nothing can be pushed."""
    make_pack(git_server, "o", "p")
    with socket.create_connection(("127.0.0.1", git_server.port), timeout=10) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert client.makefile("rb").readline().split()[1] in (b"403", b"404")


def test_a_push_is_refused(git_server: GitServer, tmp_path: Path) -> None:
    """The server only gives."""
    pack = make_pack(git_server, "o", "p")
    git("clone", "-q", pack.url, tmp_path / "c")
    assert git("-C", tmp_path / "c", "push", pack.url, "HEAD:refs/heads/new").returncode != 0


@pytest.mark.slow
def test_a_throttled_pack_takes_its_time(git_server: GitServer, tmp_path: Path) -> None:
    """300 kB at 400 kB/s take most of a second, and the percent moves meanwhile."""
    pack = make_pack(git_server, "o", "p", payload_bytes=300_000)
    git_server.set_rule("o/p", RepoRule(bytes_per_second=400_000))
    started = time.monotonic()
    assert git("clone", "-q", pack.url, tmp_path / "c").returncode == 0
    assert time.monotonic() - started > 0.6


def test_every_answer_has_the_latency(tmp_path: Path) -> None:
    """A clone of three requests waits three times."""
    with GitServer(tmp_path / "git", latency_seconds=0.1) as server:
        pack = make_pack(server, "o", "p")
        started = time.monotonic()
        git("clone", "-q", pack.url, tmp_path / "c")
        assert time.monotonic() - started > 0.3
        assert len(server.requests()) == 3


def test_a_cut_pack_fails_so_often_and_then_goes_well(git_server: GitServer, tmp_path: Path) -> None:
    """With `times` 1 the second try is served."""
    pack = make_pack(git_server, "o", "p", payload_bytes=300_000)
    git_server.set_rule("o/p", RepoRule(cut_after_bytes=50_000, times=1))
    assert git("clone", pack.url, tmp_path / "c").returncode == 128
    assert git("clone", pack.url, tmp_path / "c").returncode == 0
    assert next(request for request in git_server.requests("o/p") if request.is_pack).sent == 50_000


@pytest.mark.slow
def test_a_stalled_pack_sends_nothing_more(git_server: GitServer, tmp_path: Path) -> None:
    """git's own low-speed limit ends it; the server does not."""
    pack = make_pack(git_server, "o", "p", payload_bytes=300_000)
    git_server.set_rule("o/p", RepoRule(stall_after_bytes=50_000))
    limit = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=1")
    done = git(*limit, "clone", pack.url, tmp_path / "c")
    assert done.returncode == 128
    assert "too slow" in done.stderr


def test_a_held_pack_goes_on_when_it_is_released(git_server: GitServer, tmp_path: Path) -> None:
    """Until then the clone has not ended, however long it takes."""
    pack, released = make_pack(git_server, "o", "p", payload_bytes=300_000), threading.Event()
    git_server.set_rule("o/p", RepoRule(hold_after_bytes=50_000, released=released))
    with subprocess.Popen(["git", "clone", "-q", pack.url, str(tmp_path / "c")]) as client:
        wait_until(lambda: git_server.peak_packs == 1, what="the pack is being sent")
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.5)
        released.set()
        assert client.wait(30) == 0


@pytest.mark.slow
def test_it_stops_while_a_client_hangs(tmp_path: Path) -> None:
    """A stalled clone does not hold the server up, and ends with it; no git of the server is left."""
    server = GitServer(tmp_path / "git")
    server.start()
    pack = make_pack(server, "o", "p", payload_bytes=3_000_000)
    server.set_rule("o/p", RepoRule(stall_after_bytes=50_000))
    with subprocess.Popen(["git", "clone", "-q", pack.url, str(tmp_path / "c")], stderr=subprocess.DEVNULL) as client:
        wait_until(lambda: server.peak_packs == 1, what="the pack is being sent")
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 15
        assert client.wait(10) == 128


@pytest.mark.slow
def test_it_tells_how_many_packs_went_out_at_once(git_server: GitServer, tmp_path: Path) -> None:
    """Three clones side by side are seen as three."""
    packs = [make_pack(git_server, "o", f"p{number}", payload_bytes=200_000) for number in range(3)]
    for pack in packs:
        git_server.set_rule(pack.repo, RepoRule(bytes_per_second=200_000))
    clones = [subprocess.Popen(["git", "clone", "-q", pack.url, str(tmp_path / pack.name)]) for pack in packs]
    assert [clone.wait(30) for clone in clones] == [0, 0, 0]
    assert git_server.peak_packs == 3


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_request_may_be_compressed_and_in_chunks(git_server: GitServer, compressed: bool, chunked: bool) -> None:
    """As git sends them when they are long; the connection stays good for another."""
    pack = make_pack(git_server, "o", "p")
    body = b"0014command=ls-refs\n0000"
    headers = {"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}
    if compressed:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    client = http.client.HTTPConnection("127.0.0.1", git_server.port, timeout=10)
    with closing(client):
        for _ in range(2):
            content = iter([body[:7], body[7:]]) if chunked else body
            client.request("POST", "/o/p/git-upload-pack", content, headers, encode_chunked=chunked)
            assert pack.commit.encode() in client.getresponse().read()


def test_a_renamed_repository_leads_to_its_new_name(git_server: GitServer, tmp_path: Path) -> None:
    """As GitHub does it: git follows, says so, and keeps the old address as its origin. A circle ends."""
    pack = make_pack(git_server, "new", "pack")
    git_server.set_rule("old/pack", RepoRule(moved_to="new/pack"))
    cloned = git("clone", f"{git_server.url}/old/pack", tmp_path / "c")
    assert cloned.returncode == 0
    assert f"warning: redirecting to {pack.url}/" in cloned.stderr
    assert git("-C", tmp_path / "c", "remote", "get-url", "origin").stdout.strip() == f"{git_server.url}/old/pack"
    git_server.set_rule("new/pack", RepoRule(moved_to="old/pack"))
    assert git("ls-remote", pack.url).returncode != 0
