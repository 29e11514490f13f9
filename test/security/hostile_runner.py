"""A runner that sends what a test has written for it: an instance that lies, behind a real sshd."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from app.remote.packer import Packed

_SCRIPT = """
import json, os, sys
folder = {folder}
command, task_id = sys.argv[1:3]
nonce = sys.argv[sys.argv.index("--nonce") + 1]
def frame(kind, payload):
    os.write(1, b"\\n\\x1eNF" + nonce.encode() + b" " + kind.encode() + b" " + payload + b"\\n")
def file(name):
    with open(os.path.join(folder, name), "rb") as content:
        return content.read()
answers = json.loads(file("answers.json"))
if command == "follow":
    offset = 0
    at = int(sys.argv[sys.argv.index("--offset") + 1])
    for line in file("journal").splitlines():
        offset += len(line) + 1
        if offset > at:
            frame("j", b"%d %s" % (offset, line.replace(b"TASK", task_id.encode())))
    for line in file("frames").splitlines():
        frame(line[:1].decode(), line[2:])
    while os.read(0, 4096):
        pass
else:
    with open(os.path.join(folder, "asked"), "a") as asked:
        asked.write(command + chr(10))
    if command == "start":
        sys.stdin.read()
    frame("r", answers.get(command, '{{"status": "running", "offset": 0}}').encode())
"""


class HostileRunner:
    """The runner, and what it says next. A follower stays until the service leaves it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        content = _SCRIPT.format(folder=repr(str(folder))).encode()
        self.packed = Packed(content, hashlib.sha256(content).hexdigest())
        self.says([])

    def says(self, journal: Iterable[bytes], frames: Iterable[bytes] = (), **answers: str) -> None:
        """The journal's lines, frames behind them (`b"e {…}"`), and the answers of commands, all as they are sent."""
        (self._folder / "journal").write_bytes(b"".join(each + b"\n" for each in journal))
        (self._folder / "frames").write_bytes(b"".join(each + b"\n" for each in frames))
        (self._folder / "answers.json").write_text(json.dumps(answers))
        (self._folder / "asked").write_text("")

    def asked(self) -> list[str]:
        """The commands since then, followers aside."""
        return (self._folder / "asked").read_text().split()
