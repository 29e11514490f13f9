"""Asks a Nodeferry of this machine whether it answers, for the health checks of containers. Exit status 0: it does.

Standard library only, and by number: `localhost` may be an IPv6 address that nothing listens on. Without a word it asks
whether the process lives (/health), which a database that is away does not change: a restart would not bring it back.
`ready` asks whether it accepts work (/health/ready).
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 4.0


def main() -> int:
    """Asks once; what was wrong stands on stderr, where `docker inspect` shows it."""
    port = os.environ.get("NODEFERRY_PORT") or "5000"
    path = "/health/ready" if sys.argv[1:] == ["ready"] else "/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except urllib.error.HTTPError as exc:
        sys.stderr.write(f"{path}: {exc.code} {exc.read(400).decode('utf-8', 'replace')}\n")
    except OSError as exc:
        sys.stderr.write(f"{path}: {exc}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
