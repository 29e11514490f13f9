"""A snapshot of another machine on this one: what can be had is installed, what cannot is told."""

from __future__ import annotations

import pytest

from app.protocol.other_files.read import read_snapshot
from app.standin.packs import make_pack
from test.lock.test_lock_for_real import bring, ended_with, warned
from test.plan.box import Box
from test.runner.rig import git

pytestmark = pytest.mark.registry


def test_one_entry_that_cannot_be_had_costs_no_other(box: Box) -> None:
    """Registry packs, local folders, editable packages, a fork of the same name, another torch: a warning each, and
    `exact` changes nothing and names all of them."""
    box.index.wheel("tool", "1.0")
    box.index.wheel("tool", "2.0")
    one, fork = make_pack(box.git, "owner", "one"), make_pack(box.git, "fork", "one")
    snapshot = {
        "comfyui": None,
        "git_custom_nodes": {
            one.url: {"hash": one.commit, "disabled": False},
            fork.url: {"hash": fork.commit, "disabled": False},
            "/workspace/mine": {"hash": one.commit},
            "https://github.com/owner/none": {"hash": None},
        },
        "cnr_custom_nodes": {"comfyui-kjnodes": "nightly"},
        "file_custom_nodes": [{"filename": "mine.py", "disabled": False}],
        "pips": {"tool==1.0": "", "torch==2.4.0+cu121": "", "-e /root/lib": "", "conda @ file:///croot/conda": ""},
        "unknown": {},
    }
    lock = read_snapshot(snapshot, ["https", "http"])
    left_out = [fork.url, "/workspace/mine", "https://github.com/owner/none", "comfyui-kjnodes", "mine.py"]
    left_out += ["-e /root/lib", "conda @ file:///croot/conda"]
    refused = bring(box, lock, exact=True)
    assert (ended_with(refused), (box.custom_nodes / "one").exists()) == ("lock_mismatch", False)
    error = refused.snapshot().error
    assert error is not None and all(name in error.message for name in [*left_out, "torch"]), error
    run = bring(box, lock)
    assert ended_with(run) is None, run.said()
    assert run.state("one") == "installed"
    assert git(box.custom_nodes / "one", "rev-parse", "HEAD") == one.commit
    assert box.freeze()["tool"] == "1.0"
    told = "\n".join(warning.message for warning in run.snapshot().warnings)
    assert all(name in told for name in [*left_out, "torch", "Not read of the snapshot: unknown"]), told
    assert warned(run).count("lock_mismatch") == len(left_out) + 1
    assert "comfyui-kjnodes was left out: Its nightly version is its repository" in told
