"""What the service counts about itself, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).

In a registry of its own, and without task ids: labels are few and known beforehand. Every method may be called from
any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.protocol import counts
from app.protocol.snapshot import Snapshot
from app.protocol.states import Outcome, TaskState
from app.version import VERSION

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_INSTALL_SECONDS = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_LAG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_OUTCOMES = (*(outcome.value for outcome in Outcome), "failed", "cancelled")
SIGNALS = ("cancel", "skip", "answer", "wake")
_DATABASE_ERRORS = ("database_full", "database_locked", "database_read_only", "database_unavailable", "storage_error")
"""The usual codes of app/storage/errors.py; every series is there from the start, so that a rise is seen as one."""


class _Now(Collector):
    """Gauges that are asked for when somebody looks."""

    def __init__(self, look: Callable[[], Mapping[str, Mapping[str, float]]]) -> None:
        self._look = look

    def collect(self) -> Iterable[Metric]:
        helps = {
            "nodeferry_tasks": "Tasks in the database, by state.",
            "nodeferry_installs_running": "Installs that have a thread now.",
            "nodeferry_installs_waiting": "Installs that wait to be started.",
            "nodeferry_oldest_waiting_seconds": "How long the install that waits longest has waited; 0 when none does.",
        }
        for name, values in self._look().items():
            labelled = "" not in values
            family = GaugeMetricFamily(name, helps[name], labels=["state"] if labelled else None)
            for label, value in values.items():
                family.add_metric([label] if labelled else [], value)
            yield family


class Metrics:
    """The counters of one process of a service, since it was started."""

    def __init__(self, role: str = "all") -> None:
        """`role`: the process's, as of the settings."""
        self._registry = registry = CollectorRegistry()
        self._finished = Counter(
            "nodeferry_installs_finished", "Installs that ended here.", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "nodeferry_install_seconds",
            "From an install's acceptance to its end.",
            ["outcome"],
            buckets=_INSTALL_SECONDS,
            registry=registry,
        )
        self._reconnects = Counter("nodeferry_reconnects", "Lost connections to running installs.", registry=registry)
        self._requests = Histogram(
            "nodeferry_request_seconds",
            "How long requests took to be answered, by route.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._add_of_engine(registry)
        self._begin(role)

    def _add_of_engine(self, registry: CollectorRegistry) -> None:
        """What several processes have to do with each other, and with the database."""
        self._taken_up = Counter(
            "nodeferry_installs_taken_up",
            "Installs that another process, or an earlier one, had begun, and that went on here.",
            registry=registry,
        )
        self._leases_lost = Counter(
            "nodeferry_leases_lost", "Installs that another process went on with.", registry=registry
        )
        self._save_lag = Histogram(
            "nodeferry_event_save_seconds",
            "From an event's arrival to the moment it was saved: the oldest one of each save.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self._signals = Histogram(
            "nodeferry_signal_seconds",
            "From a person's request (cancel, skip, answer, wake) to the moment the install heard of it.",
            ["kind"],
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self._listener_reconnects = Counter(
            "nodeferry_listener_reconnects",
            "Times that the connection for news of other processes was lost and made again.",
            registry=registry,
        )
        self._database_errors = Counter(
            "nodeferry_database_errors", "Transactions that the database refused.", ["code"], registry=registry
        )

    def _begin(self, role: str) -> None:
        """What is there from the start."""
        for outcome in _OUTCOMES:
            self._finished.labels(outcome)
            self._seconds.labels(outcome)
        for kind in SIGNALS:
            self._signals.labels(kind)
        for code in _DATABASE_ERRORS:
            self._database_errors.labels(code)
        registry = self._registry
        info = Gauge("nodeferry_info", "Always 1; the labels say what this is.", ["version", "role"], registry=registry)
        info.labels(VERSION, role).set(1)
        threads = Gauge("nodeferry_process_threads", "Python's threads in this process.", registry=registry)
        threads.set_function(threading.active_count)
        ProcessCollector(registry=registry)  # memory, processor time, open files; on Linux

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

    def taken_up(self) -> None:
        """An install goes on here that somebody else had begun."""
        self._taken_up.inc()

    def lease_lost(self) -> None:
        """Another process went on with an install of this one."""
        self._leases_lost.inc()

    def saved(self, seconds: float) -> None:
        """Events were saved, the oldest of them so long after it had come."""
        self._save_lag.observe(seconds)

    def signalled(self, kind: str, seconds: float) -> None:
        """An install heard of what a person has asked, so long after that."""
        self._signals.labels(kind).observe(max(0.0, seconds))

    def hears(self, is_live: Callable[[], bool]) -> None:
        """This process hears of other processes' installs, while `is_live`."""
        live = Gauge(
            "nodeferry_listener_live",
            "Whether the connection for other processes' news is there; without it polls read the database.",
            registry=self._registry,
        )
        live.set_function(lambda: float(is_live()))

    def listener_reconnected(self) -> None:
        """The connection for other processes' news is there again."""
        self._listener_reconnects.inc()

    def database_failed(self, code: str) -> None:
        """The database refused a transaction."""
        self._database_errors.labels(code).inc()

    def answered(self, route: str, seconds: float) -> None:
        """A request of a known route was answered."""
        self._requests.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format. Raises what `look_at`'s function raises."""
        return generate_latest(self._registry)
