"""What the service counts about itself, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).

In a registry of its own, and without task ids: labels are few and known beforehand. Every method may be called from
any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.protocol import counts
from app.protocol.snapshot import Snapshot
from app.protocol.states import TaskState

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_INSTALL_SECONDS = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class _Now(Collector):
    """Gauges that are asked for when somebody looks."""

    def __init__(self, look: Callable[[], Mapping[str, Mapping[str, float]]]) -> None:
        self._look = look

    def collect(self) -> Iterable[Metric]:
        helps = {
            "nodeferry_tasks": "Tasks in the database, by state.",
            "nodeferry_installs_running": "Installs that have a thread now.",
            "nodeferry_installs_waiting": "Installs that wait to be started.",
        }
        for name, values in self._look().items():
            labelled = "" not in values
            family = GaugeMetricFamily(name, helps[name], labels=["state"] if labelled else None)
            for label, value in values.items():
                family.add_metric([label] if labelled else [], value)
            yield family


class Metrics:
    """The counters of one service, since it was started."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._finished = Counter(
            "nodeferry_installs_finished", "Installs that ended here.", ["outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "nodeferry_install_seconds",
            "From an install's acceptance to its end.",
            ["outcome"],
            buckets=_INSTALL_SECONDS,
            registry=self._registry,
        )
        self._reconnects = Counter(
            "nodeferry_reconnects", "Lost connections to running installs.", registry=self._registry
        )
        self._requests = Histogram(
            "nodeferry_request_seconds",
            "How long requests took to be answered, by route.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )

    def look_at(self, now: Callable[[], Mapping[str, Mapping[str, float]]]) -> None:
        """Where the gauges come from: by metric and state, the state empty for a metric that has none."""
        self._registry.register(_Now(now))

    def finished(self, snapshot: Snapshot) -> None:
        """An install has ended. Its outcome is `all`, `partial`, `none`; without one `failed` or `cancelled`."""
        outcome = counts.outcome(snapshot)
        failed = "cancelled" if snapshot.state is TaskState.CANCELLED else "failed"
        word = outcome.value if outcome else failed
        self._finished.labels(word).inc()
        if snapshot.finished_at is not None:
            self._seconds.labels(word).observe(max(0.0, snapshot.finished_at - snapshot.created_at))

    def interrupted(self) -> None:
        """A connection to a running install was lost."""
        self._reconnects.inc()

    def answered(self, route: str, seconds: float) -> None:
        """A request of a known route was answered."""
        self._requests.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format. Raises what `look_at`'s function raises."""
        return generate_latest(self._registry)
