"""Where a ComfyUI that runs listens. Source: ComfyUI's cli_args.py (`--listen`, `--port`, `--tls-certfile`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional, Sequence

from app.runner.machine.layout import running_with
from app.runner.process.processes import arguments_of


def address_of(argv: Sequence[str]) -> str:
    """Where a ComfyUI with these arguments answers on its own machine."""
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("--") else [word])]
    port, host, scheme = "8188", "127.0.0.1", "http"
    for word, after in zip(words, [*words[1:], ""]):
        first = after.split(",")[0]
        if word == "--port" and after.isdigit():
            port = after
        elif word == "--listen" and re.match(r"^[0-9.]+$", first) and first != "0.0.0.0":  # noqa: S104 - only looked at
            host = first
        elif word == "--tls-certfile":
            scheme = "https"
    return "%s://%s:%s" % (scheme, host, port)


def comfyui_port(ui_home: Path, base: Optional[Path] = None) -> Optional[int]:
    """The port of the ComfyUI that runs in `ui_home` with this base directory, by its arguments; None where none
    runs."""
    for process in running_with(ui_home, base):
        return int(address_of(arguments_of(process.pid)).rpartition(":")[2])
    return None
