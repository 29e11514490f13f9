"""Random changes of pasted addresses, read by the product's readers. `python -m bench.addresses`.

Nothing may come out of a reader but an address or its own error, and no machine's address may be read in another way
than ssh(1) reads it; see bench/README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bench.addresses import machines, repositories
from bench.addresses.fuzz import Reader, run

READERS: dict[str, Reader] = {reader.name: reader for reader in (machines.READER, repositories.READER)}
SECONDS, SEED = 600.0, 1


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzzes what was asked for; 0 when nothing was wrong."""
    asked = _arguments().parse_args(argv)
    names = asked.readers or sorted(READERS)
    clean = True
    for name in names:
        result = run(READERS[name], asked.seed, seconds=asked.seconds / len(names), most=asked.most)
        for text, wrong in result.wrong:
            print(f"  {text!a}\n    {wrong!a}")
        clean = clean and not result.wrong
        figures = f"{result.read} texts, the slowest in {1000 * result.slowest:.0f} ms, {len(result.wrong)} wrong"
        print(f"{name}, seed {asked.seed}: {figures}", flush=True)
    return 0 if clean else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.addresses", description=__doc__)
    parser.add_argument("readers", nargs="*", choices=[[], *sorted(READERS)], help="which (default: all)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for all together (default {SECONDS:.0f})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the changes (default {SEED})")
    parser.add_argument("--most", type=int, default=None, help="so many texts of each kind at most")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
