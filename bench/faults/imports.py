"""Cases of packs' own code: their install.py and their import."""

from __future__ import annotations

from app.standin.packs import PackSource
from bench.faults.case import GOOD, NODES, Fault, failed, importing, scripted, works_all_the_same
from bench.faults.packages import NO_SUCH

_DOWNLOAD = "import urllib.request\nurllib.request.urlretrieve('%s', 'made.txt')\n"
_SILENT = "import socket, urllib.request\nwith socket.create_server(('127.0.0.1', 0)) as silent:\n    "
_SILENT += "urllib.request.urlretrieve('http://127.0.0.1:%d/' % silent.getsockname()[1], 'made.txt')\n"
_AWAY = "Remove it from custom_nodes, or ComfyUI will not start"
_MODULE = "Install the package that contains it, or report it to the pack's author"
_NOBODY = "It may wait for an answer. Run it yourself"
_WAITS = "import threading\nthreading.Event().wait()\n"

SCRIPTS = (
    Fault("install.py fails", failed("script_failed", "Look at the pack's log"), scripted("raise SystemExit(3)\n")),
    Fault("install.py lacks a module", failed("module_missing", _MODULE), scripted(f"import {NO_SUCH}\n")),
    Fault(
        "install.py fails, but it imports",
        works_all_the_same("script_failed", "Look at the pack's log"),
        PackSource(install_py="raise SystemExit(3)\n"),
    ),
    Fault(
        "install.py prompts",
        failed("script_asked", "Run it yourself in the pack's folder"),
        scripted("input('Download 3 GB? [y/N] ')\n"),
    ),
    Fault("install.py hangs", failed("script_stalled", _NOBODY), scripted(_WAITS)),
    Fault("install.py downloads", GOOD, scripted(_DOWNLOAD % "{server}model.bin")),
    Fault(
        "install.py downloads what is not there",
        failed("script_failed", "Look at the pack's log"),
        scripted(_DOWNLOAD % "{server}no-such-model.bin"),
    ),
    Fault(
        "install.py downloads, host not reached",
        failed("host_not_reached", "Check the instance's internet connection, then start again"),
        scripted(_DOWNLOAD % "http://127.0.0.1:1/model.bin"),
    ),
    Fault("install.py's download stalls", failed("script_stalled", _NOBODY), scripted(_SILENT)),
)
IMPORTS = (
    Fault(
        "import raises",
        failed("import_failed", "The pack's log has the whole traceback"),
        PackSource(broken_import="RuntimeError('no such model')"),
    ),
    Fault("import lacks a module", failed("module_missing", _MODULE), importing(f"import {NO_SUCH}\n")),
    Fault(
        "import finds no nodes",
        failed("import_no_nodes", "Check that the repository is a node pack"),
        importing("x = 1\n"),
    ),
    Fault("import exits", failed("import_exits", _AWAY), importing("import sys\nsys.exit(3)\n")),
    Fault("import exits with 0", failed("import_exits", _AWAY), importing("import sys\nsys.exit(0)\n")),
    Fault("import hangs", failed("import_hangs", _AWAY), importing(_WAITS)),
    Fault(
        "import segfaults",
        failed("import_crashes", _AWAY),
        importing("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"),
    ),
    Fault(
        "import prints a failure, and works",
        GOOD,
        importing(f"print('Cannot import /x/custom_nodes/y module for custom nodes: no')\n{NODES}"),
    ),
)
