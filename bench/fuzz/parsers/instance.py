"""What an instance sends: the journal's events, the frames around them, lists of wheels. And what its runner reads."""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.domain.errors import ConnectionLost, RunnerProtocolError
from app.protocol import progress_json, wheel_names
from app.protocol.events import Event, Unknown, decode, encode
from app.protocol.json_fields import ProtocolFault
from app.protocol.log_names import is_log_name
from app.protocol.reducer import reduce
from app.protocol.snapshot import from_stored, to_stored
from app.remote.follow import Follow, JournalLine, LogPiece, Marker, answer_of, problem_of
from app.runner.daemon.frames import Frames
from app.runner.daemon.log_stream import LogStream
from app.runner.process.paths import Task
from app.storage.log_files import FILE_BYTES, FolderWriter
from bench.fuzz.judge import CORPORA, Parser

TASK_ID = "550e8400-e29b-41d4-a716-446655440000"
NONCE = "0123456789abcdef"
_JOURNALS = CORPORA.parents[1] / "protocol/journals"
_OF_A_KIND, _MOST_BYTES = 3, 12_000


def check_journal(data: bytes) -> str | None:
    """Every line is an event or ProtocolFault; what is folded of it can be stored, brought back and shown."""
    snapshot = progress_json.initial(TASK_ID, 1_000.0, auto_installer=False)
    for line in data.split(b"\n"):
        try:
            event = decode(line)
        except ProtocolFault:
            continue
        wrong = _written_again(event)
        if wrong:
            return wrong
        try:
            snapshot = reduce(snapshot, event, 2_000.0)
        except ProtocolFault:
            continue
    document = progress_json.progress(snapshot, 3_000.0, heard_at=2_500.0)
    json.dumps(document, allow_nan=False).encode("ascii")
    if not 0 <= document["percent"] <= 100:
        return f"{document['percent']} percent"
    unclean = next((text for text in _texts(document) if not text.replace("\n", "").isprintable()), None)
    if unclean is not None:
        return f"{unclean!r:.200} is not clean"
    stored = json.loads(json.dumps(to_stored(snapshot), allow_nan=False))
    if from_stored(stored) != snapshot:
        return "the stored snapshot is another one"
    return None


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(name)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _written_again(event: Event) -> str | None:
    if isinstance(event.body, Unknown):
        return None
    again = decode(encode(event))
    same = (again.body, again.seq) == (event.body, event.seq) and abs(again.wall - event.wall) < 0.01
    return None if same else f"{event!r:.200} is read again as {again!r:.200}"


class _Lines:
    """What a follower reads from: the bytes that an instance has sent before it closed the line."""

    stderr_tail = b""

    def __init__(self, data: bytes) -> None:
        self._lines = data.splitlines(keepends=True)[::-1]
        self.sent = b""

    def read_line(self, _timeout: float) -> bytes:
        return self._lines.pop() if self._lines else b""

    def send(self, content: bytes) -> None:
        self.sent += content


def check_frames(data: bytes) -> str | None:
    """The service's reader of the follow stream, and the writer of the logs that come in it; the runner's reader of
    what the service says."""
    marker = Marker(NONCE)
    try:
        problem_of(answer_of(marker.all(data).get("r", b"{}")))
    except RunnerProtocolError as exc:
        if not exc.message.isprintable():
            return f"{exc.message!r} is not clean"
    with tempfile.TemporaryDirectory(dir=_home()) as folder:
        wrong = _followed(data, marker, Path(folder) / "logs")
        return wrong or _heard(data, Path(folder))


def _followed(data: bytes, marker: Marker, folder: Path) -> str | None:
    lines = _Lines(data)
    follow = Follow(lines, marker, 15.0)  # type: ignore[arg-type]  # the part of a stream that it reads
    writer = FolderWriter(folder)
    try:
        while True:
            frame = follow.next(0)
            if isinstance(frame, JournalLine) and not 0 <= frame.offset < 10**18:
                return f"{frame.offset} is no offset"
            if isinstance(frame, LogPiece):
                follow.resume_logs({frame.log: writer.append(frame.log, frame.at, frame.content, anew=frame.anew)})
    except (ConnectionLost, RunnerProtocolError) as exc:
        if not exc.message.isprintable() or len(exc.message) > 2_000:
            return f"{exc.message!r:.300} is not clean"
    return _written(folder)


def _written(folder: Path) -> str | None:
    """What is wrong with the logs that were kept."""
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder)).removesuffix(".kept")
        if path.is_file() and not (is_log_name(name) or name == "open"):
            return f"{name!r} is no log"
        if path.is_file() and path.stat().st_size > FILE_BYTES + 100:
            return f"{name!r} is too large"
    return None


def _heard(data: bytes, folder: Path) -> str | None:
    """What the follower on the instance makes of the same bytes as its input."""
    with (folder / "out").open("wb") as out:
        stream = LogStream(Task(TASK_ID), Frames(NONCE, out.fileno()))
        for line in data.split(b"\n"):
            stream.apply(line.partition(NONCE.encode() + b" ")[2][2:] + b"\n")
            stream.apply(line + b"\n")
        stream.send()
    return None


def check_wheels(data: bytes) -> str | None:
    """Only whole entries, whose names are no paths."""
    wheel_names.package_of(data.decode("utf-8", "surrogateescape"))
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for raw in value if isinstance(value, list) else [value]:
        entry = wheel_names.entry_of(raw)
        if entry is None:
            continue
        if "/" in entry.name or not entry.name.isprintable() or not wheel_names.package_of(entry.name):
            return f"{entry!r} is not clean"
    return None


@functools.cache
def _home() -> Path:
    """A folder of this process, in memory where there is such a place."""
    shared = Path("/dev/shm")
    _kept.append(tempfile.TemporaryDirectory(prefix="nf-fuzz-", dir=shared if shared.is_dir() else None))
    return Path(_kept[0].name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def journals() -> list[bytes]:
    """The recorded journals of real runs, with a few events of each kind."""
    return [_short(gzip.decompress(path.read_bytes())) for path in sorted(_JOURNALS.glob("*.gz"))]


def _short(journal: bytes) -> bytes:
    seen: dict[str, int] = {}
    kept, size = [], 0
    for line in journal.split(b"\n")[:-1]:
        kind = json.loads(line)["event"]
        seen[kind] = seen.get(kind, 0) + 1
        if size + len(line) < _MOST_BYTES and (seen[kind] <= _OF_A_KIND or kind == "run_ended"):
            kept.append(line)
            size += len(line)
    return b"\n".join(kept) + b"\n"


def _framed() -> list[bytes]:
    """Those journals as a follower sends them."""
    found = []
    for journal in journals():
        offset, lines = 0, []
        for line in journal.split(b"\n")[:12]:
            offset += len(line) + 1
            lines.append(b"\n\x1eNF%s j %d %s\n" % (NONCE.encode(), offset, line))
        found.append(b"".join(lines))
    return found


_JOURNAL_WORDS = (
    b'"seq":', b'"mono":', b'"wall":', b'"event":"', b"NaN", b"Infinity", b"1e999", b"null", b"[[[[", b"{}",
)  # fmt: skip
_FRAMES = (
    b"r ", b"j ", b"j 12 {}\n", b"h {}\n", b"l ", b"w ", b"e {}\n", b'e {"status": "ended"}\n', b"x y\n", b"",
    b'l {"log": "run.log", "at": 0, "anew": true, "bytes": "aGk="}\n', b'r {"error": {"message": 1}}\n',
    b'l {"log": "../x.log", "at": 0, "anew": false, "bytes": "aGk="}\n',
)  # fmt: skip
_FRAME_WORDS = (
    *(b"\x1eNF" + NONCE.encode() + b" " + frame for frame in _FRAMES),
    b'{"logs": {"run.log": -1}}\n',
    b'{"logs": {"run.log": 99999999999999999999}}\n',
)

PARSERS = (
    Parser("journal", check_journal, _JOURNAL_WORDS, journals, as_json=True),
    Parser("frames", check_frames, _FRAME_WORDS, _framed),
    Parser("wheels", check_wheels, (b".whl", b"-py3-none-any", b"-1-", b"sha256", b"bytes"), as_json=True),
)
