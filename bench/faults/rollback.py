"""A run that ends half-way, and its rollback: what is installed and every commit are what they were before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.protocol.events import ScriptChanged
from app.standin.packs import add_commit, make_pack
from bench.faults.case import Expected, Scenario
from bench.faults.play import LIMITS, Stage, good_packs, staged
from bench.faults.row import Row
from bench.faults.table import differences, row_of

TITLE = "rollback of a half-applied run"
_SLOW = "import threading\nthreading.Event().wait(60)\n"


def play_rollback(folder: Path, uv: Path, caches: Path) -> list[Row]:
    """A row for each way to end a run half-way."""
    with staged(Scenario(TITLE, have=("toml==0.10.1",)), folder, uv, caches) as stage:
        pack = make_pack(stage.git, "faults", "old")
        old = {"name": "old", "repo_url": pack.url}
        stage.run([old])
        add_commit(stage.git, pack, {"requirements.txt": "toml==0.10.2\ntabulate\n"})
        slow = make_pack(stage.git, "faults", "slow", requirements="colorama\n", install_py=_SLOW)
        packs = [old, {"name": "slow", "repo_url": slow.url}, *good_packs(stage)]
        return [_row(stage, how, packs) for how in ("cancelled", "killed")]


def _row(stage: Stage, how: str, packs: list[dict[str, Any]]) -> Row:
    before = stage.freeze(), stage.commits()
    run = stage.start(packs, options={"existing": "update"}, limits={**LIMITS, "script_idle": 60, "script_total": 60})
    run.until(ScriptChanged, name="slow", status="running")
    wrong = [] if stage.freeze() != before[0] and stage.commits() != before[1] else ["nothing was applied half-way"]
    if how == "killed":
        run.kill()
    else:
        with run.client() as client:
            client.cancel(run.task_id)
    back = stage.run([], rollback_of=run.task_id)
    wrong += differences(Expected("completed"), str(back.state), back.error, {})
    wrong += [] if stage.freeze() == before[0] else ["the packages are not those of before"]
    wrong += [] if stage.commits() == before[1] else ["the commits are not those of before"]
    wrong += [] if stage.standin.family_fingerprint() == stage.family else ["the torch family changed"]
    return row_of(TITLE, f"{how} half-way, rolled back", str(back.state), back.error, wrong=wrong)
