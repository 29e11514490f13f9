"""The runner's command line. docs/journal.md describes its commands and the frames that they print."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, Dict, List, Optional

from app.protocol import redaction
from app.protocol.options import Options
from app.runner import compiled
from app.runner.daemon import control, frames
from app.runner.daemon.follow import follow
from app.runner.daemon.frames import Frames
from app.runner.process.paths import BadTaskId, Task

_HELP = """\
usage: python3 {file} install (--csv FILE | --url URL | --nodes FILE | --lock FILE | --snapshot FILE) [more]

Installs ComfyUI node packs on this machine, here and now; nothing else has to be here but Python 3.9 and git.

  python3 {file} install --url https://github.com/OWNER/REPOSITORY
  python3 {file} install --csv list.csv --ui-home /workspace/ComfyUI --restart
  python3 {file} install --help          all flags, named as those of `nodeferry install`

The other commands are for a service that has sent this file here: start, follow, status, cancel, skip, answer, sweep,
probe, wheels, wheel (COMMAND --help).
"""


def main(argv: Optional[List[str]] = None) -> int:
    """Runs one command; the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    redaction.register_variables(os.environ)
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(_HELP.replace("{file}", os.path.basename(sys.argv[0] or "FILE")))
        return 0 if argv else 2
    if argv[:1] == ["install"]:
        from app.runner.standalone import standalone

        return standalone.main(argv[1:])
    return _serve(_parser().parse_args(argv))


def _serve(args: argparse.Namespace) -> int:
    """One command of a service."""
    out = Frames(args.nonce)
    try:
        if args.command == "probe":
            from app.runner.machine.probe import probe_now  # only `probe` needs it

            out.json(frames.ANSWER, probe_now(args.ui_home, args.venv_path))
        elif args.command == "wheel":
            from app.runner.resolve.wheel_export import send_wheel  # only `wheel` needs it

            send_wheel(Task(args.task_id), args.name, args.offset, args.ui_home, out)
        elif args.command == "follow":
            follow(Task(args.task_id), args.offset, out)
        elif args.command == "cancel":
            out.json(frames.ANSWER, control.cancel(Task(args.task_id), lambda: out.json(frames.CANCEL, {})))
        else:
            out.json(frames.ANSWER, _answer(args))
    except BrokenPipeError:
        return 0  # nobody reads any more
    except (ValueError, OSError) as exc:
        out.json(frames.ANSWER, _failed(exc))
        return 1
    compiled.save()
    return 0


def _answer(args: argparse.Namespace) -> Dict[str, Any]:
    task = Task(args.task_id)
    if args.command == "start":
        from app.runner.run import run  # only `start` needs the engine

        return control.start(task, _request(), run)
    if args.command == "skip":
        return control.skip(task, args.package, args.mark)
    if args.command == "answer":
        return control.answer(task, args.question, args.answer, args.mark)
    if args.command == "wheels":
        from app.runner.resolve.wheel_export import wheels_answer  # only `wheels` needs it

        return wheels_answer(task, args.ui_home)
    commands = {"status": control.status, "sweep": _sweep}
    answer: Dict[str, Any] = commands[args.command](task)
    return answer


def _sweep(task: Task) -> Dict[str, Any]:
    """What the killed run left half-done is settled and noted, once nothing of it works any more."""
    answer = control.sweep(task)
    if answer.get("status") == "swept":
        from app.runner.machine.ownership import give_after_death
        from app.runner.packs.unfinished import settle_after_death
        from app.runner.rollback.record import note_after_death

        settle_after_death(task)
        note_after_death(task)
        give_after_death(task)
    return answer


def _request() -> Dict[str, Any]:
    """What `start` is asked for. Raises ValueError."""
    request = json.loads(sys.stdin.buffer.read())
    if not isinstance(request, dict):
        raise ValueError("the request is no JSON object")
    Options.read(request.get("options"))  # here, a fault can still be answered
    return request


def _failed(exc: Exception) -> Dict[str, Any]:
    code, hint = (
        "runner_start_failed",
        "Check that the instance's disk has free space and that ~/.local/state/nodeferry can be written.",
    )
    if isinstance(exc, BadTaskId):
        code, hint = "bad_task_id", "A task_id is a UUID."
    elif isinstance(exc, ValueError):
        code, hint = "bad_request", "The request is one JSON object, with options that app/protocol/options.py defines."
    return {"error": {"code": code, "message": "The runner could not do that: %s" % exc, "hint": hint}}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nodeferry-runner", description="For the service. By hand: install --help")
    commands = ["start", "follow", "status", "cancel", "skip", "answer", "sweep", "probe", "wheels", "wheel"]
    parser.add_argument("command", choices=commands)
    parser.add_argument("task_id")
    parser.add_argument("--nonce", default="0", help="marks the output that the service parses")
    parser.add_argument("--offset", type=int, default=0, help="follow, wheel: the byte to start from")
    parser.add_argument("--package", default="", help="skip: whose build")
    parser.add_argument("--question", default="", help="answer: the question's id")
    parser.add_argument("--answer", default="", help="answer: one of the question's answers")
    parser.add_argument("--mark", default="", help="skip, answer: that it comes from who knows the run's secret")
    parser.add_argument("--name", default="", help="wheel: its file name")
    parser.add_argument("--ui-home", help="probe, wheels, wheel: the ComfyUI folder")
    parser.add_argument("--venv-path", help="probe: its interpreter or virtual environment")
    return parser
