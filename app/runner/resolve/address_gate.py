"""Whether what uv has planned comes from addresses that nobody has allowed: what a pack's own project depends on stands
in none of its requirements."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Sequence

from app.runner.context import Context
from app.runner.policies.known_bad import known_bads
from app.runner.policies.run_policies import RunPolicies
from app.runner.process.children import Finished
from app.runner.resolve.plan import changes

_REMOTE = re.compile(r"(?:git\+)?(?:https?|ssh|git|ftp)://", re.IGNORECASE)
_REFUSED = "Nodeferry does not take %s from its address, which no requirements of packs name: %s."
_MALICIOUS = "Nodeferry does not take %s from there, since %s."


class AddressGate:
    """One run's. From any thread."""

    def __init__(self, context: Context) -> None:
        self._policies = RunPolicies.of(context)
        self._known = known_bads(context)
        self._calls = threading.local()

    def note(self, argv: Sequence[str]) -> None:
        """This thread's next command."""
        self._calls.named = ""
        for option, path in zip(argv, argv[1:]):
            if option == "-r" and not self._policies.allows("direct_urls"):
                with suppress(OSError):
                    self._calls.named += Path(path).read_text("utf-8", "replace")

    def judged(self, finished: Finished) -> Finished:
        """The same; a failure where something comes from where it must not."""
        for change in changes(finished.output, {}) if finished.ok else ():
            if change.source and _REMOTE.match(change.source):
                said = self._why_not(change.package, change.source)
                if said:
                    return Finished(1, finished.raw + ("\n%s\n" % said).encode(), finished.stopped)
        return finished

    def _why_not(self, package: str, source: str) -> str:
        found = self._known.of_address(source)
        if found:
            return _MALICIOUS % (package, found.why)
        address = source.partition("#")[0].rpartition("@")[0] if source.startswith("git+") else source
        if self._policies.allows("direct_urls") or address in getattr(self._calls, "named", ""):
            return ""
        return _REFUSED % (package, self._policies.why("direct_urls"))
