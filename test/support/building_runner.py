"""The runner's zipapp with builds that last until they are skipped, or until a test lets them end.

It is the real runner, started through a few lines: after the packs' scripts have run, it works on two builds as far as
events and skips go, and builds nothing. So a test decides how long a build takes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from app.remote.packer import Packed, pack_runner

BUILDS = ("slow-one", "other")
_MAIN = """
import os, sys
if "start" in sys.argv:
    import app.runner.run as run
    from app.protocol.events import BuildChanged
    from app.protocol.states import BuildState

    def brought(context, *args, brought=run._brought, **more):
        results = brought(context, *args, **more)
        packs = tuple(result.pack.name for result in results)
        left = {package: BuildState.RUNNING for package in %(builds)r}
        for package in left:
            context.journal.emit(BuildChanged(package, "1.0", BuildState.WAITING, packs))
        for package in left:
            context.journal.emit(BuildChanged(package, "1.0", BuildState.RUNNING, packs, "[1/2] a.cpp"))
        while left:
            for package in list(left):
                skipped, done = context.skips.asked(package), os.path.exists(%(gate)r)
                if skipped or done:
                    state = BuildState.SKIPPED if skipped else BuildState.DONE
                    context.journal.emit(BuildChanged(package, "1.0", state, packs, "", 1.5))
                    del left[package]
            context.pause(0.05)
        return results

    run._brought = brought
from app.runner.main import main
sys.exit(main())
"""


def building_runner(gate: Path) -> Packed:
    """The runner; the builds that nobody skipped are done once there is a file `gate`."""
    source, target = io.BytesIO(pack_runner().content), io.BytesIO()
    with zipfile.ZipFile(source) as real, zipfile.ZipFile(target, "w") as made:
        for name in set(real.namelist()) - {"__main__.py"}:
            made.writestr(name, real.read(name))
        made.writestr("__main__.py", _MAIN % {"builds": BUILDS, "gate": str(gate)})
    return Packed(target.getvalue(), hashlib.sha256(target.getvalue()).hexdigest())
