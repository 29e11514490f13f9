"""Compressed answers: for whom they are, and whom they are not for."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import pytest
import requests
from flask import Response

from app.sync.http.compression import chosen, compress
from test.api.client import PROGRESS, Api, closed_address, silent_address
from test.support.service import ServiceProcess


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP ; q=0.1", "gzip"),
        ("*", "br"),
        ("*;q=0.3, br;q=0", "gzip"),
        ("br;q=0, gzip;q=0", None),
        ("*;q=0", None),
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("deflate", None),
        ("", None),
        ("gzip;q=x", None),
        ("gzip;level=9", None),
        (",,;q=1,", None),
        ("a," * 5000 + "gzip", None),
    ],
)
def test_the_encoding_is_that_which_the_request_likes_best(accepted: str, encoding: str | None) -> None:
    """By its weights; nothing is compressed for a header that cannot be understood."""
    assert chosen(accepted, ("br", "gzip")) == encoding


def compressed(response: Response, accepted: str = "gzip") -> Response:
    compress(response, accepted)
    return response


def test_small_streamed_secret_and_compressed_answers_stay_as_they_are() -> None:
    """And pictures, and what has no body."""
    kept = [
        Response("x" * 999, content_type="application/json"),
        Response((part for part in ["x" * 5000]), content_type="application/json"),
        Response("x" * 5000, content_type="application/json", headers={"Cache-Control": "no-store, no-transform"}),
        Response("x" * 5000, content_type="application/json", headers={"Content-Encoding": "br"}),
        Response("x" * 5000, content_type="image/png"),
        Response("x" * 5000, 304, content_type="application/json"),
    ]
    for response in kept:
        before = response.headers.get("Content-Encoding")
        assert compressed(response).headers.get("Content-Encoding") == before


def test_a_tag_becomes_weak_with_the_bytes() -> None:
    """What is compressed is another representation of the same."""
    response = Response("x" * 5000, content_type="text/html")
    response.set_etag("abc")
    assert compressed(response).headers["ETag"] == 'W/"abc"'


def test_large_answers_come_compressed_and_small_ones_plain(api: Api) -> None:
    """The same JSON; HEAD has the headers of GET; a cache is told what it depends on."""
    plain = api.get("/openapi.json")
    packed = api.get("/openapi.json", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 5
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    head = api.send("HEAD", "/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert (head.data, head.headers["Content-Length"]) == (b"", packed.headers["Content-Length"])
    assert "Content-Encoding" not in api.get("/health", Accept_Encoding="gzip").headers


def test_streams_and_tunnels_are_never_compressed(api: Api) -> None:
    """An event is there when it happens; the length of an answer with a secret tells nothing of it."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    stream = api.get(f"/tasks/{task_id}/events", Accept_Encoding="gzip")
    tunnel = api.get(f"/tasks/{task_id}/open", Accept_Encoding="gzip")
    for answer in (stream, tunnel):
        assert "Content-Encoding" not in answer.headers
        assert "no-transform" in answer.headers["Cache-Control"]


def test_a_stream_of_patches_is_compressed_and_each_event_whole_at_once(api: Api) -> None:
    """What has come can be read without what will come."""
    with silent_address() as address:
        task_id = api.start(address)
        path = f"/tasks/{task_id}/events?patch=true"
        answer = api.send("GET", path, headers={"Accept-Encoding": "gzip"}, buffered=False)
        assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
        reader, read = zlib.decompressobj(31), b""
        for piece in answer.response:
            assert isinstance(piece, bytes)
            read += reader.decompress(piece)
            assert read.endswith(b"\n\n")
            if b"event: progress" in read:
                break
        answer.close()
        assert "Content-Encoding" not in api.send("HEAD", path).headers
        api.post(f"/tasks/{task_id}/cancel")
        api.ended(task_id)


@pytest.mark.slow
def test_a_progress_over_a_socket_is_what_it_says(tmp_path: Path) -> None:
    """Once compressed, for a client that takes it; curl without --compressed gets it plain."""
    with ServiceProcess(tmp_path) as service:
        task_id = service.install(closed_address(), options={"wait_seconds": 0})
        service.ended(task_id)
        answers = [
            requests.post(service.url + PROGRESS, json={"task_id": task_id}, headers={"Accept-Encoding": encoding})
            for encoding in ("gzip", "identity")
        ]
    assert [answer.headers.get("Content-Encoding") for answer in answers] == ["gzip", None]
    assert set(answers[0].json()) == set(answers[1].json())


ASSET = re.compile(r'(?:href|src)="([^"]+/static/[^"]+)"')


def test_what_a_page_loads_is_small_and_kept_for_ever(idle: Api) -> None:
    """In each encoding a representation of its own; plain for who takes none."""
    found = ASSET.findall(idle.get("/").text)
    assert {name.rpartition(".")[2] for name in found} == {"svg", "css", "js"}
    for name in found:
        plain = idle.get(name)
        packed = idle.get(name, Accept_Encoding="gzip")
        assert "immutable" in packed.headers["Cache-Control"]
        assert plain.headers["ETag"] != packed.headers["ETag"]
        assert gzip.decompress(packed.data) == plain.data
        again = idle.get(name, Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["Vary"] == "Accept-Encoding"
        head = idle.send("HEAD", name, headers={"Accept-Encoding": "gzip"})
        assert head.headers["Content-Length"] == packed.headers["Content-Length"]


def test_a_page_that_stayed_the_same_is_not_sent_again(idle: Api) -> None:
    """It is asked for all the same: another version is another page."""
    page = idle.get("/", Accept_Encoding="gzip")
    assert page.headers["Cache-Control"] == "private, no-cache"
    assert gzip.decompress(page.data) == idle.get("/").data
    again = idle.get("/", Accept_Encoding="gzip", If_None_Match=page.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")


def test_a_page_that_carries_a_run_is_kept_nowhere(api: Api) -> None:
    """Neither on a disk nor by a proxy."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    api.ended(task_id)
    page = api.send("GET", f"/ui/task/{task_id}", follow_redirects=True)
    assert page.headers["Cache-Control"] == "no-store"
    assert "ETag" not in page.headers
