"""Debian's Prometheus, on loopback and in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.standin.sshd import hold_port
from test.support.waiting import wait_until

_CONFIGURATION = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: nodeferry
    static_configs: [{{targets: ["{target}"]}}]
"""


def program(name: str) -> str:
    """Where it is; skips where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"There is no {name} here; `make test-deps` installs Debian's.")
    return found


class Prometheus:
    """One that scrapes; `ask` queries it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """What a query finds now. Raises for one that is wrong."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def number(self, expression: str) -> float:
        """The first value; 0 where there is none, or nobody answers."""
        try:
            found = self.ask(expression)
        except OSError:
            return 0.0
        return float(found[0]["value"][1]) if found else 0.0


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """One that scrapes `target` (host:port) twice a second. Skips where it is not installed."""
    folder.mkdir()
    (folder / "prometheus.yml").write_text(_CONFIGURATION.format(target=target), "utf-8")
    port, held = hold_port()
    argv = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1h"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            found = Prometheus(f"http://127.0.0.1:{port}")
            wait_until(lambda: found.number("up") == 1, 30, "Prometheus has scraped")
            yield found
        finally:
            process.terminate()
            process.wait(20)
            os.close(held)  # Go's servers set SO_REUSEADDR, so that it could be held all the time
