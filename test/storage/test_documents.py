"""Small documents, as files and in PostgreSQL: whole, never lost to another's change, and seen by everybody at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.access import Scope, Token, digest_of
from app.domain.errors import InvalidRequest
from app.storage.data_folder import open_documents
from app.storage.documents import Documents
from app.storage.errors import StorageError
from app.storage.shared_documents import SharedDocuments
from app.storage.token_file import FILE_NAME, Tokens
from app.sync.remembered_answers import RememberedAnswers
from app.sync.sessions import Sessions
from app.sync.status_links import StatusLinks
from test.support.waiting import wait_until

Opening = Callable[[], Documents]
RUN, OTHER = "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440001"


@pytest.fixture(params=["folder", "postgresql"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    """Opens the same documents again, as another process does."""
    of_postgresql = request.param == "postgresql"
    url = request.getfixturevalue("postgresql_url") if of_postgresql else f"sqlite:///{tmp_path / 'nodeferry.db'}"
    opened: list[Documents] = []

    def open_again() -> Documents:
        opened.append(open_documents(tmp_path, url))
        return opened[-1]

    yield open_again
    for each in opened:
        each.close()


@pytest.fixture
def documents(opening: Opening) -> Documents:
    return opening()


def test_a_document_is_replaced_as_a_whole(documents: Documents, opening: Opening) -> None:
    """And its version changes with it, also when it has gone in between."""
    assert (documents.read("a"), documents.version("a")) == (None, None)
    versions = []
    for content in (b"one", b"two", b"\0\xff"):
        documents.write("a", content)
        assert opening().read("a") == content
        versions.append(opening().version("a"))
    documents.remove("a")
    documents.remove("a")
    assert documents.read("a") is None
    documents.write("a", b"one")
    versions.append(documents.version("a"))
    assert len(set(versions)) == len(versions)


def test_of_many_changes_at_once_none_is_lost(opening: Opening) -> None:
    """Each of several processes changes a document that was not there before."""

    def one_more(content: bytes | None) -> bytes:
        return str(int(content or b"0") + 1).encode()

    def change(documents: Documents) -> None:
        for _ in range(10):
            documents.change("number", one_more, with_commands=True)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(change, [opening() for _ in range(4)]))
    assert opening().read("number") == b"40"


def test_a_folder_lists_its_newest_first(documents: Documents) -> None:
    for name in ("f/one.z", "f/two.z", "f/other", "g/three.z"):
        documents.write(name, b"x")
    found = documents.newest_first("f", ".z")
    assert {name for name, _ in found} == {"f/one.z", "f/two.z"}
    assert found[0][1] >= found[1][1] > time.time() - 600


def test_a_token_is_known_and_gone_at_once_in_every_process(opening: Opening) -> None:
    """Or so soon after that nobody can tell."""
    here, there_too = Tokens(opening()), Tokens(opening())
    assert here.all() == there_too.all() == ()
    secret = here.new("one", Scope.ALL)
    assert [token.digest for token in here.all()] == [digest_of(secret)]
    wait_until(lambda: there_too.all() == here.all(), 2, "another process knows the token")
    with pytest.raises(InvalidRequest, match="already"):
        there_too.new("one", Scope.ALL)
    assert there_too.revoke("one") and not here.revoke("one")
    assert there_too.all() == ()
    wait_until(lambda: here.all() == (), 2, "another process knows that it is gone")


def test_tokens_made_at_once_are_all_there(opening: Opening) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: Tokens(opening()).new("", Scope.ALL), range(8)))
    assert [token.name for token in Tokens(opening()).all()] == sorted(f"token-{n}" for n in range(1, 9))


def test_damaged_tokens_let_nobody_in(documents: Documents) -> None:
    documents.write(FILE_NAME, b'{"tokens": [1]}')
    with pytest.raises(StorageError, match="damaged") as found:
        Tokens(documents).all()
    assert FILE_NAME in found.value.message


def test_a_session_that_began_in_one_process_is_known_after_a_restart(opening: Opening) -> None:
    token = Token("mine", Scope.ALL, digest_of("secret"))
    made, _ = Sessions(opening(), 60.0).begin(token)
    assert Sessions(opening(), 60.0).find([made], {"mine": token}) is not None


def test_a_session_ends_in_every_process_of_a_shared_database(postgresql_url: str, tmp_path: Path) -> None:
    token, documents = Token("mine", Scope.ALL, digest_of("secret")), open_documents(tmp_path, postgresql_url)
    here, elsewhere = Sessions(documents, 60.0), Sessions(documents, 60.0)
    made, _ = here.begin(token)
    other, _ = elsewhere.begin(token)
    assert here.find([other], {"mine": token}) and elsewhere.find([made], {"mine": token})
    elsewhere.end([made])
    assert here.find([made], {"mine": token}) is None and here.find([other], {"mine": token})
    documents.close()


def test_a_database_that_is_away_lets_nobody_in_and_holds_nobody_up(tmp_path: Path) -> None:
    """Everybody who asks meanwhile is told so, and not one after the other."""
    asked: list[float] = []
    gone = threading.Event()

    def away() -> Engine:
        asked.append(time.monotonic())
        gone.wait(1.0)
        raise StorageError("away", code="database_unavailable")

    tokens = Tokens(SharedDocuments(away))
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(tokens.all) for _ in range(8)]
        wait_until(lambda: bool(asked), 5, "one asks")
        gone.set()
        assert all(isinstance(answer.exception(10), StorageError) for answer in answers)
    assert len(asked) <= 8


def test_links_and_answers_are_common(opening: Opening) -> None:
    secret, link = StatusLinks(opening()).make(RUN)
    StatusLinks(opening()).make(OTHER)
    assert StatusLinks(opening()).run_of(secret) == RUN and StatusLinks(opening()).of_run(RUN) == link
    assert StatusLinks(opening()).end(RUN) and StatusLinks(opening()).run_of(secret) is None
    RememberedAnswers(opening()).add({"q": "a", "r": "b"})
    assert RememberedAnswers(opening()).forget("q") == 1
    assert [each.answer for each in RememberedAnswers(opening()).all()] == ["b"]
    opening().write("workflow-answers.json", json.dumps([1]).encode())
    with pytest.raises(StorageError, match=r"workflow-answers\.json"):
        RememberedAnswers(opening()).all()


def test_the_database_has_no_secret(shared_engine: Engine) -> None:
    """Who reads it, or a dump of it, can log in with nothing that stands in it."""
    documents = SharedDocuments(lambda: shared_engine)
    secret = Tokens(documents).new("mine", Scope.ALL)
    session, _ = Sessions(documents, 60.0).begin(Tokens(documents).all()[0])
    link, _ = StatusLinks(documents).make(RUN)
    for name in ("tokens.json", "sessions.json", "status-links.json"):
        stored = documents.read(name) or b""
        assert stored and not [each for each in (secret, session, link) if each.encode() in stored], name
