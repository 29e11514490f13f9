"""The pages' half of patches makes of them what the service's half has meant."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Page

from app.webui.assets import modules
from app.webui.bundle import EXPORT
from test.browser.conftest import OpenTab
from test.support.patching import play

PLAY = """(text) => {
  let progress = null;
  const found = JSON.parse(text).map((answer) => {
    const before = progress;
    const frozen = JSON.stringify(before);
    const { progress: next, changed, order } = applyPatch(before, answer);
    progress = next;
    const rows = new Map(before?.nodes.map((row) => [row.name, row]));
    const differs = (row) => JSON.stringify(rows.get(row.name)) !== JSON.stringify(row);
    const moved = next.nodes.filter(differs).map((row) => row.name).sort();
    const same = next.nodes.filter((row) => rows.get(row.name) === row).length;
    const untouched = JSON.stringify(before) === frozen;
    return { progress: next, changed: [...changed].sort(), moved, order, untouched, same };
  });
  return JSON.stringify(found);
}"""


@pytest.fixture
def page(tab: OpenTab) -> Page:
    """A tab that has the module's functions."""
    opened = tab("about:blank")
    source = EXPORT.sub("", modules()["js/core/patch.js"])
    opened.evaluate(f"() => {{ {source}; Object.assign(globalThis, {{ applyPatch, Misfit }}); }}")
    return opened


def test_applied_in_a_browser_a_patch_is_the_whole_progress(page: Page) -> None:
    """Over random runs; it names the rows that changed, and leaves the others the objects that they were."""
    for seed in range(40):
        seen = [(reader, reader.answers[-1], whole) for reader, whole in play(Random(seed), 80, readers=1)]
        found: list[dict[str, Any]] = json.loads(page.evaluate(PLAY, json.dumps([answer for _, answer, _ in seen])))
        for one, (_, _, whole) in zip(found, seen, strict=True):
            assert one["progress"] == whole
            assert one["changed"] == one["moved"]
            assert one["untouched"]
            assert one["same"] == len(whole["nodes"]) - len(one["moved"])


def test_a_patch_for_another_revision_is_refused(page: Page) -> None:
    """Rather than shown."""
    misfits = """() => [null, ["a", 3], ["b", 2]].map((known) => {
      const progress = known && { task_id: known[0], revision: known[1], nodes: [] };
      try {
        applyPatch(progress, { task_id: "a", since: 2, revision: 4, patch: { set: {} } });
      } catch (error) {
        return error instanceof Misfit;
      }
      return false;
    })"""
    assert page.evaluate(misfits) == [True, True, True]
