"""`install`: the same engine in the foreground, for web terminals, on-start scripts and image builds.

    python3 nodeferry-….pyz install --csv list.csv --ui-home /workspace/ComfyUI

Prints a line for each thing that happens, and a table at the end. Exit status: 0 all packs are installed, 3 some,
1 none or the run failed, 130 cancelled (Ctrl-C), 2 for a command line that cannot be.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
import uuid
from typing import Any, Dict, List, Mapping

from app.protocol import wire
from app.protocol.events import ProtocolFault, decode
from app.protocol.manager_snapshot import read_snapshot
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot
from app.runner.by_hand.progress_lines import lines_of, table
from app.runner.daemon import journal
from app.runner.daemon.locks import lock_now
from app.runner.daemon.places import Task

_LOOK_SECONDS = 0.2


def main(argv: List[str]) -> int:
    """Runs `install` to its end; the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        request = _request(args)
    except (OSError, ValueError) as exc:
        parser.error("the list cannot be read: %s" % exc)
    return install(request)


def install(request: Mapping[str, Any]) -> int:
    """Runs one install in this process. Main thread only; a signal that asks to stop cancels the run."""
    from app.runner.run import run

    task = Task(str(uuid.uuid4()))
    task.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = lock_now(task.lock)
    journal.replace_file(task.request, json.dumps(request).encode("ascii"))
    logging.basicConfig(filename=str(task.log), level=logging.INFO, format="%(asctime)s %(message)s")
    os.umask(0o022)
    _cancel_by_signals(task)
    show = _Show(task, request)
    show.line("Task %s; everything is logged in %s" % (task.task_id, task.folder))
    try:
        run(task, request, show.start)
    except OSError as exc:  # before the journal is open; later ones are in it
        show.line("The install could not start: %s" % exc)
    show.finish()
    if lock is not None:
        os.close(lock)
    return show.result()


def _cancel_by_signals(task: Task) -> None:
    """What was ignored (nohup) stays so. The handler leaves a file that the run looks for."""

    def cancel(_number: int, _frame: object) -> None:
        task.cancel.touch(mode=0o600)

    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, cancel)


class _Show:
    """Reads the journal as it grows and prints what is new in it."""

    # `run` tells from its own threads; one that reads the file needs nothing of them

    def __init__(self, task: Task, request: Mapping[str, Any]) -> None:
        self._task = task
        by_repo = "repo" in (request.get("manifest") or {})
        self._snapshot: Snapshot = wire.initial(task.task_id, time.time(), auto_installer=by_repo)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="show", daemon=True)
        self._deaf = False

    def start(self) -> None:
        """The journal is there: prints from now on."""
        self._thread.start()

    def finish(self) -> None:
        """Prints the rest."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def result(self) -> int:
        """Prints the table; the exit status."""
        shown = wire.progress(self._snapshot, time.time())
        for text in table(shown):
            self.line(text)
        return int(shown.get("return_code", 1))

    def line(self, text: str) -> None:
        """One line for a person. That nobody reads any more stops nothing."""
        if self._deaf:
            return
        try:
            sys.stdout.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")
            sys.stdout.flush()
        except UnicodeEncodeError:
            sys.stdout.write(text.encode("ascii", "replace").decode("ascii") + "\n")
        except OSError:
            self._deaf = True

    def _follow(self) -> None:
        with open(str(self._task.journal), "rb") as file:
            while True:
                ended = self._ended.is_set()
                at = file.tell()
                line = file.readline()
                if line.endswith(b"\n"):
                    self._take(line)
                    continue
                file.seek(at)
                if ended:
                    return
                self._ended.wait(_LOOK_SECONDS)

    def _take(self, line: bytes) -> None:
        try:
            event = decode(line)
            before, self._snapshot = self._snapshot, reduce(self._snapshot, event, time.time())
        except ProtocolFault as exc:
            self.line("(a line of the journal cannot be read: %s)" % exc)
            return
        for text in lines_of(event, before, self._snapshot):
            self.line(text)


def _request(args: argparse.Namespace) -> Dict[str, Any]:
    """What the engine is to do. Raises OSError, ValueError."""
    options: Dict[str, Any] = {"existing": args.existing, "run_scripts": not args.no_scripts}
    if args.no_verify:
        options["verify"] = False
    if args.exact:
        options["exact"] = True
    return {
        "ui_home": None if args.ui_home is None else os.path.abspath(args.ui_home),
        "venv_path": None if args.venv_path is None else os.path.abspath(args.venv_path),
        "manifest": _manifest(args),
        "options": options,
        "schemes": _schemes(args),
        "version": "by hand",
    }


def _manifest(args: argparse.Namespace) -> Dict[str, Any]:
    if args.url:
        return {"urls": args.url}
    if args.csv:
        return {"csv": _read(args.csv)}
    text = _read(args.lock)
    if "git_custom_nodes" in text:
        return {"lock": read_snapshot(text, _schemes(args))}
    lock = json.loads(text)
    if isinstance(lock, dict) and isinstance(lock.get("lock"), dict):
        lock = lock["lock"]  # the service's whole answer
    return {"lock": lock}


def _schemes(args: argparse.Namespace) -> List[str]:
    return ["https", "ssh", *args.scheme]


def _read(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    with open(path, encoding="utf-8-sig") as file:
        return file.read()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nodeferry install", description="Installs ComfyUI node packs on this machine, here and now."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--csv", metavar="FILE", help="the list: Name,RepoUrl,Subfolder,RequirementsFile; - reads stdin"
    )
    source.add_argument("--url", action="append", metavar="URL", help="a pack's repository; may be given many times")
    source.add_argument(
        "--lock", metavar="FILE", help="the lock of an earlier install, or a snapshot of ComfyUI-Manager"
    )
    parser.add_argument("--ui-home", metavar="DIR", help="ComfyUI's folder; found by itself where it can be")
    parser.add_argument("--venv-path", metavar="DIR", help="ComfyUI's Python environment; found by itself")
    parser.add_argument(
        "--existing", choices=["keep", "update", "reinstall"], default="keep", help="packs that are there"
    )
    parser.add_argument("--no-scripts", action="store_true", help="run no pack's install.py")
    parser.add_argument("--no-verify", action="store_true", help="do not have ComfyUI import the packs")
    parser.add_argument("--exact", action="store_true", help="with --lock: everything as in the lock, or nothing")
    parser.add_argument(
        "--scheme", action="append", default=[], metavar="NAME", help="another scheme that repositories may have"
    )
    return parser
