"""apt-get, apt-cache and dpkg of an instance: a folder for its PATH. Packages are files, and trouble is played."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

_PROGRAM = '''#!{python}
"""What apt-get prints, as of Debian 12, and files for what it would install."""
import os, sys, time
from pathlib import Path

HOME = Path({home!r})
SHAPE = (HOME / "shape").read_text() if (HOME / "shape").exists() else ""
KNOWN = (HOME / "known").read_text().split()
words = [word for word in sys.argv[1:] if not word.startswith("-")]
name = os.path.basename(sys.argv[0])
with open(HOME / "calls", "a") as log:
    log.write(" ".join([name, *sys.argv[1:]]) + "\\n")
fetched = (HOME / "lists").exists()
if name == "apt-cache":
    for each in words[1:] if fetched else []:
        if each in KNOWN:
            print(each + ":\\n  Installed: (none)\\n  Candidate: 1.0\\n  Version table:\\n     1.0 500")
elif name == "dpkg":
    pass
elif words[0] == "update":
    if SHAPE == "offline":
        print("Err:1 http://deb.example.invalid InRelease\\n  Temporary failure resolving 'deb.example.invalid'")
        print("E: Failed to fetch http://deb.example.invalid/InRelease  Temporary failure resolving")
        sys.exit(100)
    (HOME / "lists").touch()
elif words[0] == "install":
    wanted = [each for each in words[1:] if not (HOME / "installed" / each).exists()]
    if SHAPE == "gpu":
        print("Inst libnvidia-compute-535 [535.1] (535.2 Debian:12 [amd64])")
    if "-s" in sys.argv:
        for each in wanted:
            print("Inst %s (1.0 Debian:12/stable [amd64])" % each)
        sys.exit(0)
    if SHAPE == "locked":
        print("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)")
        sys.exit(100)
    if SHAPE == "interrupted":
        print("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ")
        sys.exit(100)
    (HOME / "installed").mkdir(exist_ok=True)
    for each in wanted:
        print("Setting up %s (1.0) ..." % each)
        (HOME / "installed" / each).touch()
'''


class StandInApt:
    """Its programs are in `folder / "bin"`. `known`: the packages that its lists have, once they are fetched."""

    def __init__(self, folder: Path, known: Sequence[str]) -> None:
        """`folder`: is made."""
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        (folder / "known").write_text(" ".join(known))
        text = _PROGRAM.format(python=sys.executable, home=str(folder))
        for name in ("apt-get", "apt-cache", "dpkg"):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def play(self, shape: str) -> None:
        """From now on: `offline`, `locked`, `interrupted`, `gpu`; empty: all goes well."""
        (self.folder / "shape").write_text(shape)

    def file_of(self, package: str) -> Path:
        """There once the package is installed."""
        return self.folder / "installed" / package

    @property
    def calls(self) -> list[str]:
        """Every command so far, as a line."""
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []
