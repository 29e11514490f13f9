"""Moves a pack between two file systems and kills it before every single thing that it does. A program of its own.

    python -m test.runner.killed_moves FOLDER OTHER_FOLDER hidden|visible|locked SEED

The folders lie on different file systems. Each round forks; Python's audit events count what the child does, and at
the chosen one it gets a SIGKILL. Then a second child settles what the first left, and is killed too, once or twice.
`visible`: ComfyUI sees the source, and not the target; `hidden`: the other way round. `locked`: as `visible`, and a
file cannot be removed, so that each move is undone in the end.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from app.runner.files.move import move, settle_all
from test.support.pack_tree import tree_of, write_pack
from test.support.refused import lock

NOT_LOCKED = "no file can be locked here"
_CHANGES = frozenset(
    ["os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.utime", "os.truncate"]
)


def main() -> None:
    """Prints how many moments there were; fails at the first one that loses something."""
    one, other, kind, seed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    chance = random.Random(seed)
    whole = one / "whole"
    write_pack(whole)
    wanted = tree_of(whole)
    number = 0
    while True:
        number += 1
        rounds = Rounds(one, other, wanted, kind)
        finished = rounds.killed_at(number, rounds.move)
        rounds.look(f"move killed at {number}")
        for _ in range(chance.randrange(3)):
            later = chance.randrange(1, 40)
            rounds.killed_at(later, rounds.settle)
            rounds.look(f"move killed at {number}, settling at {later}")
        rounds.settle()
        rounds.check(f"move killed at {number}", finished)
        if finished:
            print(number - 1)
            return


class Rounds:
    """One source and its target."""

    def __init__(self, one: Path, other: Path, wanted: dict[str, tuple[object, ...]], kind: str) -> None:
        self.source, self.target = one / "from" / "pack", other / "to" / "pack"
        self._locked = kind == "locked"
        lock(self.source / "tool", "-i")
        for folder in (self.source.parent, self.target.parent):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        self._wanted = wanted
        self._visible = self.target if kind == "hidden" else self.source
        subprocess.run(["cp", "-a", str(one / "whole"), str(self.source)], check=True)  # shutil loses hard links
        if self._locked and not lock(self.source / "tool", "+i"):
            raise SystemExit(NOT_LOCKED)

    def move(self) -> None:
        """As a run does."""
        try:
            move(self.source, self.target)
        except PermissionError:
            assert self._locked

    def settle(self) -> None:
        """As the next run does."""
        problems = settle_all([self.source.parent, self.target.parent])
        allowed = PermissionError if self._locked else ()
        assert all(isinstance(problem, allowed) for problem in problems), problems

    def killed_at(self, number: int, work: Callable[[], None]) -> bool:
        """Does the work in a child that is killed before its `number`th change; whether it came to its end."""
        child = os.fork()
        if child == 0:
            done = [0]

            def watch(event: str, args: tuple[object, ...]) -> None:
                writes = event == "open" and (args[1] in {"wb", "w", "ab"} or int(str(args[2])) & os.O_ACCMODE)
                if event in _CHANGES or writes:
                    done[0] += 1
                    if done[0] == number:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(watch)
            work()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status in {0, signal.SIGKILL}, status
        return status == 0

    def look(self, when: str) -> None:
        """What ComfyUI would run is whole."""
        if (self._visible / "__init__.py").exists():
            self._compare(self._visible, when)

    def check(self, when: str, finished: bool) -> None:
        """It is in one of the two places, whole, and nothing else is there."""
        found = [*self.source.parent.iterdir(), *self.target.parent.iterdir()]
        assert found in ([self.source], [self.target]), (when, found)
        assert not finished or found == [self.source if self._locked else self.target], (when, found)
        self._compare(found[0], when)

    def _compare(self, folder: Path, when: str) -> None:
        now, wanted = tree_of(folder), self._wanted
        if self._locked:  # of two names of one file, one may come back as a copy
            now, wanted = ({path: facts[:-1] for path, facts in each.items()} for each in (now, wanted))
        wrong = {path for path in {*now, *wanted} if now.get(path) != wanted.get(path)}
        assert not wrong, (when, folder, wrong)


if __name__ == "__main__":
    main()
