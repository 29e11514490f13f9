"""Random changes to what comes from outside. `python -m bench.fuzz --parser known_hosts --seconds 600 --seed 1`.

Nothing may come out of a parser but clean values or its own errors, within its time and memory; see bench/README.md.
What is found is made small and written into test/security/corpus. A run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.fuzz.parsers.table import PARSERS
from bench.fuzz.run import run

SECONDS, SEED = 600.0, 1
_MEMORY_BYTES = 2 << 30


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzzes what was asked for; 0 when nothing was wrong."""
    asked = _arguments().parse_args(argv)
    asked.state.mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    clean = True
    for name in asked.parser or sorted(PARSERS):
        state = asked.state / f"{name}-{asked.seed}.json"
        if asked.anew:
            state.unlink(missing_ok=True)
        result = run(PARSERS[name], asked.seed, seconds=asked.seconds, most=asked.most, state=state)
        for wrong, file in result.found.values():
            print(f"  {file}: {wrong!a}")
        clean = clean and not result.found
        print(result, flush=True)
    return 0 if clean else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--parser", action="append", choices=sorted(PARSERS), help="which (default: all)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for each (default {SECONDS:.0f})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the changes (default {SEED})")
    parser.add_argument("--most", type=int, default=None, help="so many inputs of each at most")
    parser.add_argument("--anew", action="store_true", help="begin again, and do not go on where the last run ended")
    folder = Path(tempfile.gettempdir()) / "nodeferry-fuzz"
    parser.add_argument("--state", type=Path, default=folder, help=f"where runs note how far they are ({folder})")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
