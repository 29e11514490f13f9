"""Records the journals that `python -m bench.eta` plays back: `python -m bench.eta.record [NAME…]`.

Each is a real run over a real sshd, and takes up to three minutes. What names this machine is replaced.
"""

from __future__ import annotations

import argparse
import gzip
import re
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from bench.engine.machine import Shop, get_uv
from bench.eta.recordings import HELD_OUT, KNOWN, Play, Workshop
from bench.eta.replay import JOURNALS
from test.support.service import ROOT, ServiceProcess

_LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d+")
_REGISTRY_FILE = re.compile(r"(?:https?|file)://[^\s\"']*")
_KERNEL = re.compile('"system":"[^"]*"')
LATENCY_SECONDS = 0.04


def main(argv: list[str] | None = None) -> int:
    """Records the runs that are named, one after the other; all without a name."""
    plays = {play.__name__: play for play in (*KNOWN, *HELD_OUT)}
    parser = argparse.ArgumentParser(prog="python -m bench.eta.record", description=__doc__)
    parser.add_argument("names", nargs="*", help="which (default: all)")
    parser.add_argument("--output", type=Path, default=JOURNALS, help="the folder of the journals")
    asked = parser.parse_args(argv)
    asked.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nodeferry-bench-") as made:
        folder = Path(made)
        shop = Shop(folder, get_uv(folder / "uv"))
        for name in asked.names or plays:
            journal = _recorded(plays[name], folder / name, shop)
            (asked.output / f"{name}.ndjson.gz").write_bytes(gzip.compress(journal, mtime=0))
            print(f"{name}: {len(journal.splitlines())} events", flush=True)
    return 0


def _recorded(play: Play, folder: Path, shop: Shop) -> bytes:
    """One run, with a git server and a service of its own."""
    folder.mkdir()
    with GitServer(folder / "git", latency_seconds=LATENCY_SECONDS) as git, ServiceProcess(folder) as service:
        workshop = Workshop(folder, git, service, replace(shop, folder=folder))
        journal = play(workshop)
        if b'"state":"completed"' not in journal.splitlines()[-1]:
            raise ValueError(f"the run did not complete: {journal.splitlines()[-1]!r}")
        return anonymous(journal, workshop.standins[-1], folder)


def anonymous(journal: bytes, standin: StandIn, folder: Path) -> bytes:
    """The journal without this machine's folders and hosts. Raises ValueError when something of it is left."""
    text = _LOOPBACK.sub("https://git.example.org", journal.decode("ascii"))
    text = _REGISTRY_FILE.sub(lambda found: _example(found.group()), text)
    places = {standin.ui_home: "/workspace/ComfyUI", standin.home: "/root", standin.root: "/instance", folder: "/work"}
    places |= {ROOT: "/service", Path(sys.base_prefix): "/usr"}
    for path, instead in places.items():
        text = text.replace(str(path), instead)
    if tempfile.gettempdir() + "/nodeferry" in text or "127.0.0.1" in text:
        raise ValueError("the journal still names this machine")
    return _KERNEL.sub('"system":"Linux"', text).encode("ascii")


def _example(url: str) -> str:
    return (
        url
        if url.startswith(("https://github.com/", "https://git.example.org"))
        else "https://packages.example.org/file"
    )


def _ended(number: int, frame: object) -> None:
    """SIGTERM: what runs is taken down."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _ended)
    raise SystemExit(main())
