"""Alerts and dashboard: every query means something to a real Prometheus that has scraped a real service."""

from __future__ import annotations

import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.sync.metrics import Metrics
from test.house.sources import ROOT
from test.support.real_prometheus import program, prometheus
from test.support.stage import Stage, scenario
from test.support.waiting import wait_until

FOLDER = ROOT / "deploy" / "prometheus"
OUTSIDE = frozenset({"up"})
"""What Prometheus counts itself."""
GAUGES_OF_READINESS = frozenset(
    f"nodeferry_{name}" for name in ("tasks", "installs_running", "installs_waiting", "oldest_waiting_seconds")
)
SILENT = frozenset({"nodeferry_signal_seconds"})
"""Where one process does everything, nobody sends signals: the query finds its series, and NaN for their quantile."""


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = yaml.safe_load((FOLDER / "nodeferry.rules.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The dashboard's pictures."""
    found: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))["panels"]
    return found


def queries() -> list[str]:
    """Every query of the dashboard, over the time that a test has."""
    texts = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [re.sub(r"\[(\$__rate_interval|1h)\]", "[1m]", text) for text in texts]


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:nodeferry|process)_[a-z_]+|\bup\b", text))


def test_every_metric_that_is_asked_for_is_there() -> None:
    """Alerts and dashboard name none that the service does not count."""
    metrics = Metrics()
    metrics.hears(lambda: True)
    metrics.answered("POST /ssh/install-custom-nodes/progress", 0.001)
    families = text_string_to_metric_families(metrics.text().decode())
    counted = {sample.name for family in families for sample in family.samples} | GAUGES_OF_READINESS | OUTSIDE
    asked = {name for rule in alerts() for name in metrics_in(rule["expr"])}
    asked |= {name for query in queries() for name in metrics_in(query)}
    assert asked - counted == set()


def test_promtool_takes_the_rules_and_every_alert_fires_in_its_test() -> None:
    """An alert that nothing fires is none."""
    for words in (["check", "rules", "nodeferry.rules.yml"], ["test", "rules", "nodeferry.rules.test.yml"]):
        done = subprocess.run(
            [program("promtool"), *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load((FOLDER / "nodeferry.rules.test.yml").read_text("utf-8"))["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in alerts()}


def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    """With the file that the token is to be in."""
    for name in ("prometheus.yml", "nodeferry.rules.yml"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "nodeferry.token").touch()
    argv = [program("promtool"), "check", "config", "prometheus.yml"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pictures_of_the_dashboard_do_not_lie_on_each_other() -> None:
    """Each has a place, a title and an id of its own."""
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    for key in ("id", "title"):
        assert len({panel[key] for panel in panels()}) == len(panels())


@pytest.mark.slow
def test_a_real_prometheus_finds_something_for_every_query(tmp_path: Path) -> None:
    """After an install, with polls."""
    program("prometheus")
    with Stage(tmp_path) as stage, prometheus(tmp_path / "prometheus", stage.url.removeprefix("http://")) as asked:
        played = scenario(3)
        task = stage.live(played)
        stage.play(task, played.seconds)
        stage.service.ended(task)
        polls = 'sum(increase(nodeferry_request_seconds_count{route=~".*progress"}[1m]))'
        seen = f"sum(increase(nodeferry_installs_finished_total[1m])) > 0 and {polls} > 0"
        wait_until(lambda: stage.service.progress(task)["completed"] and asked.number(seen) > 0, 20, "it is scraped")
        problems = []
        for query in queries():
            found = asked.ask(query)
            values = [float(each["value"][1]) for each in found]
            silent = bool(metrics_in(query) & {f"{name}_bucket" for name in SILENT})
            if not values or (any(map(math.isnan, values)) and not silent):
                problems.append(f"{query}: {found}")
        assert not problems, "\n".join(problems)
        for rule in alerts():
            asked.ask(rule["expr"])
