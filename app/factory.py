"""The composition root: the only place that wires a service's real parts together."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask
from sqlalchemy import Engine

from app.remote.connector import SshConnector
from app.remote.own_keys import OwnKeys
from app.settings import Settings, Timeouts
from app.storage.command_audit import CommandAudits
from app.storage.data_folder import logs_of
from app.storage.database import open_database
from app.storage.documents import Documents
from app.storage.fleet_store import FleetStore
from app.storage.group_update import GroupUpdate
from app.storage.history import History
from app.storage.install_store import InstallStore
from app.storage.instance_store import InstanceStore
from app.storage.lease import Leases, owner_of
from app.storage.log_files import Logs
from app.storage.moved_mark import check_not_moved
from app.storage.pins import DatabasePins
from app.storage.progress_files import ProgressFiles
from app.storage.retry_store import RetryStore
from app.storage.run_store import RunStore
from app.storage.task_counts import TaskCounts
from app.storage.transactions import on_storage_errors
from app.storage.workflow_store import WorkflowStore
from app.sync.access import Access
from app.sync.background_tasks import BackgroundTaskManager, get_task_manager
from app.sync.capacity import Capacity
from app.sync.default_list import DefaultList
from app.sync.fleets import Fleets
from app.sync.http.at_once import AtOnce
from app.sync.http.behind_proxy import BehindProxy
from app.sync.http.quick_polls import QuickPolls
from app.sync.http.services import PROBLEM_PAGE, Services
from app.sync.installs.early_ends import EarlyEnds
from app.sync.installs.engine import Engine as InstallEngine
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.job_runner import JobRunner
from app.sync.installs.lease_keeper import LeaseKeeper
from app.sync.installs.logs import TaskLogs
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.retention import Retention
from app.sync.installs.retries import Retries
from app.sync.installs.scheduler import Scheduler
from app.sync.installs.service import Installs
from app.sync.instance_checks import InstanceChecks
from app.sync.metrics import Metrics
from app.sync.node_sources import NodeSources
from app.sync.notifications import Notifications
from app.sync.proofs import Proofs
from app.sync.readiness import Readiness
from app.sync.registry.client import Registry
from app.sync.registry.packs import RegistryPacks
from app.sync.remembered_answers import RememberedAnswers
from app.sync.run_news import RunNews
from app.sync.runs.fleet_progress import FleetProgress
from app.sync.runs.members import Members
from app.sync.runs.remembered import RememberedInstances
from app.sync.runs.runs import Asked, Runs
from app.sync.status_links import StatusLinks
from app.sync.sync_api import create_app
from app.sync.tunnels import Tunnels
from app.sync.wheels import Wheels
from app.sync.workflow_executor import WorkflowExecutor
from app.sync.workflow_files import WorkflowFiles
from app.sync.workflow_lists import WorkflowLists
from app.sync.workflows.steps import Steps
from app.webui import pages as webui

if TYPE_CHECKING:  # where the database is a file, nothing of it is imported
    from app.sync.shared.wiring import Shared


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs: `app` answers HTTP, `at_once` what of it takes no waiting. One a data folder; whoever builds
    it holds the folder's lock."""

    app: Flask
    at_once: AtOnce
    installs: Installs
    checks: InstanceChecks
    retries: Retries
    fleets: Fleets
    retention: Retention
    workflows: WorkflowExecutor
    tunnels: Tunnels
    notifications: Notifications
    settings: Settings
    engine: Engine

    def close(self, timeout: float = 3.0) -> None:
        """Releases everything within `timeout` seconds, the database too: nothing is answered any more."""
        self.release(timeout)
        self.engine.dispose()

    def release(self, timeout: float) -> None:
        """Releases every install within `timeout` seconds. Their runs go on; the next service attaches to them. Polls
        are still answered."""
        deadline = time.monotonic() + timeout
        self.tunnels.close_all()
        for part in (self.workflows, self.retries, self.installs, self.notifications):
            part.close(max(0.0, deadline - time.monotonic()))


@dataclass(frozen=True, slots=True)
class _InstallParts:
    """The installs, and the parts that only they share."""

    installs: Installs
    jobs: JobRunner
    retention: Retention
    progress_cache: ProgressCache
    background: BackgroundTaskManager
    shared: Shared | None
    engine: Engine
    now: Callable[[], float]
    """Unix seconds, of the clock by which all go that share the database."""


def build_service(
    settings: Settings, *, background: BackgroundTaskManager | None = None, access: Access | None = None
) -> Service:
    """A service on the settings' data folder, its unfinished installs resumed. Raises StorageError.

    `background`: the threads' keeper; default: the process's one. `access`: who is let in; default: by the settings."""
    keeper, access = background or get_task_manager(), access or Access(settings)
    keeper.retention_seconds = settings.memory_hours * 3600
    engine, documents = _opened(settings, access), access.documents
    pins = DatabasePins(engine)
    logs, audits = logs_of(settings.data_dir, engine, keeper.start_task)
    connector_with = _connectors(settings, pins, audits)
    connector, metrics, capacity = connector_with(settings.timeouts), Metrics(settings.role), Capacity()
    parts = _wire_installs(settings, engine=engine, background=keeper, connector=connector, logs=logs, metrics=metrics)
    installs, retention = parts.installs, parts.retention
    retries = Retries(installs, RetryStore(engine), keeper, first_pause=settings.retry_seconds, now=parts.now)
    checks = InstanceChecks(pins, connector_with, settings.timeouts)
    notices = Notifications(settings.notify_urls, documents, keeper)
    proofs = Proofs(documents, installs, connector, background=keeper, timeouts=settings.timeouts)
    workflows, runs, fleets, members = _wire_runs(parts, retries, Steps(installs, checks, settings, proofs), notices)
    tunnels = Tunnels(installs, connector, keeper, settings, capacity)
    web = _application(
        Services(
            installs,
            checks,
            workflows,
            tunnels,
            retries,
            fleets,
            retention,
            settings,
            TaskLogs(installs, logs, audits),
            _readiness(parts, metrics),
            metrics,
            Wheels(installs, connector, settings.timeouts),
            OwnKeys(),
            access,
            capacity,
            DefaultList(settings),
            notices,
            StatusLinks(documents),
            runs,
            RememberedInstances(InstanceStore(engine), pins, runs),
            *_lists(settings, documents),
            proofs,
            FleetProgress(installs, FleetStore(engine), members),
        )
    )
    _resume(settings, retries, installs, workflows)
    return Service(*web, installs, checks, retries, fleets, retention, workflows, tunnels, notices, settings, engine)


def _opened(settings: Settings, access: Access) -> Engine:
    check_not_moved(settings.resolved_database_url)
    engine = open_database(settings.resolved_database_url)
    access.documents.use(engine)
    return engine


def _connectors(settings: Settings, pins: DatabasePins, audits: CommandAudits) -> Callable[[Timeouts], SshConnector]:
    """Makes what connects. Where several machines are one service, a refused login says on which it was tried."""
    host = socket.gethostname() if settings.is_shared else ""
    return partial(SshConnector, pins, key_files=settings.ssh_key_files, audit=audits.of, on_host=host)


def _lists(settings: Settings, documents: Documents) -> tuple[WorkflowLists, RegistryPacks]:
    """What turns workflows and ids of the registry into packs."""
    files, answers = WorkflowFiles(documents), RememberedAnswers(documents)
    registry, schemes = Registry(settings), settings.allowed_git_schemes
    lists = WorkflowLists(files, NodeSources(settings), registry, answers, schemes)
    return lists, RegistryPacks(registry, schemes)


def _resume(settings: Settings, retries: Retries, installs: Installs, workflows: WorkflowExecutor) -> None:
    """What a service before this one has not come to, where this process's role is to do it."""
    if settings.runs_installs:
        retries.begin()
    installs.resume_unfinished()
    if settings.runs_installs:
        workflows.resume_unfinished()


def _wire_runs(
    parts: _InstallParts, retries: Retries, steps: Steps, notices: Notifications
) -> tuple[WorkflowExecutor, Runs, Fleets, Members]:
    """The workflows, and what shows them and the installs as one and tells of their ends."""
    engine = parts.engine
    store, instances = WorkflowStore(engine), InstanceStore(engine)
    workflows = WorkflowExecutor(
        store=store, installs=parts.installs, steps=steps, background=parts.background, now=parts.now
    )
    members = Members(parts.installs, RunStore(engine))
    runs = Runs(
        parts.installs,
        workflows,
        workflow_store=store,
        instances=instances,
        store=RunStore(engine),
        members=members,
    )
    _wire_news(RunNews(parts.installs, runs, notices), parts, retries, workflows, runs)
    _wire_proofs(parts, steps.proofs)
    if parts.shared:
        _wire_shared(parts.shared, parts, retries, workflows)
    return workflows, runs, Fleets(parts.installs, retries, FleetStore(engine), parts.now), members


def _readiness(parts: _InstallParts, metrics: Metrics) -> Readiness:
    on_storage_errors(parts.engine, lambda error: metrics.database_failed(error.code))
    readiness = Readiness(parts.installs, TaskCounts(parts.engine), parts.now)
    metrics.look_at(readiness.gauges)
    return readiness


def _application(shared: Services) -> tuple[Flask, AtOnce]:
    """What answers HTTP: the routes and the pages; and what of it takes no waiting."""
    app = create_app(shared)
    webui.register(
        app,
        webui.PageParts(
            shared.access.needs_login,
            task=shared.installs.task,
            run=lambda run_id: shared.proofs.with_proof(shared.runs.run(run_id)),
            root_of=shared.runs.root_of,
            running=lambda: shared.runs.page(Asked(in_progress=True))[0],
        ),
    )
    app.extensions[PROBLEM_PAGE] = webui.fill_problem_page
    quick = QuickPolls(app.wsgi_app, shared, webui.headers())
    app.wsgi_app = BehindProxy(quick, shared.settings)  # type: ignore[method-assign]
    return app, quick.at_once


def _shared(settings: Settings, engine: Engine, background: BackgroundTaskManager, metrics: Metrics) -> Shared | None:
    """What this process shares with others, where there may be some."""
    if not settings.is_shared:
        return None
    from app.sync.shared.wiring import shared_parts

    shared = shared_parts(engine, background, memory_seconds=settings.memory_hours * 3600)
    hearing = shared.hearing
    hearing.when_given, hearing.when_reconnected = metrics.signalled, metrics.listener_reconnected
    metrics.hears(lambda: hearing.is_live)
    return shared


def _wire_installs(
    settings: Settings,
    *,
    engine: Engine,
    background: BackgroundTaskManager,
    connector: SshConnector,
    logs: Logs,
    metrics: Metrics,
) -> _InstallParts:
    closing = threading.Event()
    files = ProgressFiles(settings.data_dir / "progress")
    shared = _shared(settings, engine, background, metrics)
    progress_cache = shared.hearing.progress if shared else ProgressCache(settings.memory_hours * 3600)
    now = shared.hearing.clock.now if shared else time.time
    retention = Retention(History(engine), files, progress_cache, settings, now, logs=logs)
    leases = Leases(engine, owner_of(settings.data_dir), queued=settings.is_shared)
    lease_keeper = LeaseKeeper(leases, background, closing, retention.prune_if_due)
    jobs = JobRunner(
        lease_keeper=lease_keeper,
        connector=connector,
        settings=settings,
        logs=logs,
        metrics=metrics,
        closing=closing,
    )
    store = InstallStore(engine)
    if shared:
        runs: InstallEngine = shared.queue(settings, background, jobs, lease_keeper.upkeep)
    else:
        ends = EarlyEnds(store, metrics)
        runs = Scheduler(background, jobs.run, settings.max_running, lease_keeper, end=ends.cancelled)
    installs = Installs(
        store=store,
        progress_cache=progress_cache,
        progress_writer=ProgressWriter(files, background, now),
        saver=GroupSaver(GroupUpdate(engine), background),
        engine=runs,
        jobs=jobs,
        connector=connector,
        settings=settings,
        now=now,
    )
    return _InstallParts(installs, jobs, retention, progress_cache, background, shared, engine, now)


def _wire_news(news: RunNews, parts: _InstallParts, retries: Retries, workflows: WorkflowExecutor, runs: Runs) -> None:
    """Who hears of ends and questions. Whether there will be a retry is found out before anybody is told."""

    def ended(task_id: str) -> None:
        retries.look_at(task_id)
        runs.look_at(task_id)
        news.of_task(task_id)

    parts.jobs.when_ended = ended
    parts.progress_cache.when_asked = news.of_task
    workflows.when_news = news.of_workflow


def _wire_shared(shared: Shared, parts: _InstallParts, retries: Retries, workflows: WorkflowExecutor) -> None:
    """What follows an end is done by one process, and what one has left by another."""
    parts.jobs.when_ended = shared.follow_ups.of_end(parts.jobs.when_ended)
    parts.progress_cache.when_asked = shared.follow_ups.of_question(parts.progress_cache.when_asked)
    workflows.shared = shared.workflows(workflows.drive, workflows.let_go, workflows.look_at)
    shared.chores.append(retries.begin)


def _wire_proofs(parts: _InstallParts, proofs: Proofs) -> None:
    """A ComfyUI that was restarted for a workflow is asked whether it is ready."""
    before = parts.jobs.when_ended

    def ended(task_id: str) -> None:
        before(task_id)
        proofs.look_at(task_id)

    parts.jobs.when_ended = ended
