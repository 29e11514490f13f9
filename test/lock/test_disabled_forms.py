"""Disabled packs of a snapshot in the lock that it becomes."""

from __future__ import annotations

import pytest

from app.protocol.lockfile import read_lock
from app.protocol.manifest import ManifestFault, parse_nodes
from test.lock.test_forms import HASH
from test.lock.test_snapshot_forms import GOOD, Json, entry, lock_of


@pytest.mark.parametrize("off", [entry(disabled=True), entry(disabled="yes"), {"hash": HASH, "enabled": False}])
def test_a_disabled_pack_is_in_the_lock_by_itself(off: Json) -> None:
    """Beside one of its name that is loaded, whichever of the two comes first; twice the same is once."""
    fork = {"https://github.com/fork/one": off}
    for packs in ({**fork, **GOOD}, {**GOOD, **fork}):
        lock = lock_of({"git_custom_nodes": packs, "cnr_custom_nodes": [{"id": "one", "version": "1.0", **off}] * 2})
        found = {pack["folder"]: (pack["name"], pack.get("disabled")) for pack in lock["node_packs"]}
        assert found == {
            "One": ("One", None),
            ".disabled/one": ("one@disabled", True),
            ".disabled/one@1_0": ("one@disabled_2", True),
        }
        assert [pack.folder for pack in read_lock(lock, ["https"]).packs] == [
            each["folder"] for each in lock["node_packs"]
        ]


@pytest.mark.parametrize("wrong", [{"subfolder": "a/b"}, {"registry_id": "some-pack", "repo_url": None}])
def test_a_disabled_pack_has_one_folder_of_its_own(wrong: Json) -> None:
    """Manager looks no deeper; a pack of the registry is named by its version."""
    node = {"name": "p", "repo_url": "https://github.com/o/p", "disabled": True, **wrong}
    with pytest.raises(ManifestFault, match="A disabled node pack"):
        parse_nodes([node], ["https"])
