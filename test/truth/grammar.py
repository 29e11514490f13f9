"""Packs by chance: what they ask for, what their script does, what their import does. The same seed, the same packs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from test.plan.box import Box

NODES = "NODE_CLASS_MAPPINGS = {}\n"
MADE = "from pathlib import Path\nPath(__file__).with_name('made.txt').read_text()\n"
GONE = "no-such-package-anywhere"

REQUIREMENTS: Mapping[str, tuple[Sequence[str], bool | None]] = {
    "none": ((), True),
    "there": (("alpha",), True),
    "through another": (("over-beta",), True),
    "any numpee": (("numpee",), True),
    "old numpee": (("numpee<2",), None),
    "new numpee": (("numpee>=2",), None),
    "missing": (("alpha", GONE), False),
    "impossible": (("alpha>=9",), False),
    "does not build": (("unmakeable",), False),
    "no requirement": (("<<<<<<< HEAD",), False),
    "outside": (("-r ../../../main.py",), False),
    "torch": (("torch>=2", "torchvision"), True),
    "another torch": (("torch==1.13.1", "alpha"), False),
}
"""The lines, and whether they can be had: None where that is up to the other packs."""
SCRIPTS: Mapping[str, tuple[str | None, bool]] = {
    "none": (None, True),
    "makes": ("open('made.txt', 'w').write('x')", True),
    "fails": ("raise SystemExit(3)", False),
    "asks": ("input('really? ')", False),
    "makes, then fails": ("open('made.txt', 'w').write('x')\n1/0", False),
}
IMPORTS: Mapping[str, str] = {
    "runs": NODES,
    "needs alpha": "import alpha\n" + NODES,
    "needs beta": "import beta\n" + NODES,
    "needs old numpee": "import numpee\nassert numpee.__version__ < '2'\n" + NODES,
    "needs new numpee": "import numpee\nassert numpee.__version__ >= '2'\n" + NODES,
    "needs what its script makes": MADE + NODES,
    "raises": "raise RuntimeError('no such model')\n",
    "lacks a module": "import nodeferry_no_such_module\n",
    "has a syntax error": "def (:\n",
    "has no nodes": "x = 1\n",
    "exits": "import sys\nsys.exit(3)\n",
    "exits well": "import os\nos._exit(0)\n",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "hangs": "import threading\nthreading.Event().wait()\n",
    "says that it fails": f"print('Cannot import /x/custom_nodes/y module for custom nodes: no')\n{NODES}",
    "says that all is well": "print('Import times for custom nodes:\\n   0.0 seconds: /x/custom_nodes/y')\n1/0\n",
}
_OFTEN = {"runs": 5, "needs alpha": 3, "needs beta": 2, "none": 6, "there": 3, "through another": 2, "makes": 1}
_SELDOM = {"hangs": 0.3}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One pack. `nested`: it goes into the pack before it."""

    name: str
    requirements: str
    script: str
    imported: str
    nested: bool

    def __str__(self) -> str:
        where = ", nested" if self.nested else ""
        return f"{self.name}: asks for {self.requirements}, script {self.script}, import {self.imported}{where}"


def draw(seed: int, count: int) -> list[Drawn]:
    """Packs by chance."""
    chance = random.Random(seed)
    drawn: list[Drawn] = []
    for number in range(count):
        nested = bool(drawn) and not drawn[-1].nested and chance.random() < 0.1
        asks, script, imported = (_one_of(chance, list(table)) for table in (REQUIREMENTS, SCRIPTS, IMPORTS))
        drawn.append(Drawn(f"pack{number}", asks, script, imported, nested))
    return drawn


def _one_of(chance: random.Random, words: list[str]) -> str:
    weights = [_OFTEN.get(word, _SELDOM.get(word, 1)) for word in words]
    return chance.choices(words, weights)[0]


def furnish(box: Box) -> None:
    """The index with all that can be had."""
    index = box.index
    index.wheel("alpha", "1.0")
    index.wheel("beta", "1.5")
    index.wheel("over-beta", "1.0", ["beta>=1"])
    for version in ("1.26.0", "2.1.0"):
        index.wheel("numpee", version)
    index.sdist("unmakeable", "1.0", broken="error: command 'gcc' failed: No such file or directory")


def made(box: Box, drawn: Sequence[Drawn]) -> list[dict[str, object]]:
    """The packs' repositories; their manifest."""
    entries: list[dict[str, object]] = []
    for pack in drawn:
        lines, _ = REQUIREMENTS[pack.requirements]
        files = {"__init__.py": IMPORTS[pack.imported]}
        entry = box.pack(pack.name, *lines, files=files, install_py=SCRIPTS[pack.script][0])
        if pack.nested:
            entry["subfolder"] = f"{entries[-1]['name']}/{pack.name}"
        entries.append(entry)
    return entries
