"""The default: one process on SQLite imports nothing of what several processes need, and starts no slower for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from app.factory import build_service
from app.settings import settings_from
service = build_service(settings_from({}, overrides={"data_dir": Path(sys.argv[1])}))
service.close()
kept_out = {"psycopg", "psycopg_pool", "procrastinate", "asyncssh"}
print(sorted({name.partition(".")[0] for name in sys.modules} & kept_out))
print([name for name in sys.modules if name.startswith("app.sync.shared")])
"""


def test_a_service_on_sqlite_imports_no_driver_and_no_queue(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path / "data")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n[]\n", done.stderr
