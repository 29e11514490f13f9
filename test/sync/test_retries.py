"""Retries: what they hold, how a task and its retry are tied, and those that the service starts by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.domain.address import parse_address
from app.domain.errors import InvalidRequest, NothingToRetry, TaskConflict
from app.domain.request import InstallRequest
from app.protocol.options import Options
from app.standin.git_rules import MISSING, SERVED, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from test.api.client import closed_address, silent_address
from test.support.waiting import wait_until
from test.sync.conftest import Bench, BenchFactory, Gate

LIMITED = RepoRule(status=429)


def _ask(bench: Bench, ssh_connection: str, **options: Any) -> str:
    """Starts an install of the default list; its task_id."""
    asked = Options(**{"wait_seconds": 0, **options})
    request = InstallRequest(ssh_connection, parse_address(ssh_connection), options=asked)
    return bench.installs.start(request).task_id


def _retried_by(bench: Bench, task_id: str, timeout: float = 30.0) -> str:
    """The task_id of the retry, when it is there."""
    bench.until(task_id, lambda status: status["retry"] and status["retry"]["retried_by"], "it is retried", timeout)
    return str(bench.installs.progress(task_id)["retry"]["retried_by"])


class TestAskedFor:
    @pytest.mark.sshd
    def test_it_installs_what_did_not_end_well_and_nothing_else(
        self, bench: Bench, instance: StandIn, packs: list[Pack], git_server: GitServer
    ) -> None:
        """Only the failed pack is in the new task; both tasks name each other; then there is nothing left to retry."""
        git_server.set_rule(packs[1].repo, MISSING)
        first = bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home, require="all")
        assert bench.ended(first)["outcome"] == "partial"
        git_server.set_rule(packs[1].repo, SERVED)
        second = bench.service.retries.retry(first).task_id
        end = bench.ended(second)
        assert [row["name"] for row in end["nodes"]] == [packs[1].name]
        assert (end["outcome"], end["retry"]["retry_of"]) == ("all", first)
        assert bench.installs.progress(first)["retry"]["retried_by"] == second
        before, after = bench.installs.task(first), bench.installs.task(second)
        assert (before["retried_by"], after["retry_of"]) == (second, first)
        assert after["request"]["options"] == before["request"]["options"]
        with pytest.raises(NothingToRetry):
            bench.service.retries.retry(second)

    @pytest.mark.sshd
    def test_pins_folders_and_requirement_files_are_kept(
        self, bench: Bench, instance: StandIn, git_server: GitServer
    ) -> None:
        """The new manifest says all that the old one said of the pack, whatever form that had."""
        pack = make_pack(git_server, "o", "pinned", PackSource(history=2, tags={"v1": 0}))
        git_server.set_rule(pack.repo, MISSING)
        csv = f"Name,RepoUrl,Subfolder,RequirementsFile,Ref\npinned,{pack.url},elsewhere,some.txt,v1\n"
        request = InstallRequest(
            instance.ssh_command,
            parse_address(instance.ssh_command),
            ui_home=str(instance.ui_home),
            manifest={"csv": csv},
        )
        first = bench.installs.start(request).task_id
        assert bench.ended(first)["outcome"] == "none"
        git_server.set_rule(pack.repo, SERVED)
        second = bench.service.retries.retry(first).task_id
        [entry] = bench.installs.task(second)["request"]["manifest"]["nodes"]
        assert (entry["subfolder"], entry["requirements_file"], entry["ref"]) == ("elsewhere", "some.txt", "v1")
        assert bench.ended(second)["nodes"][0]["commit"] == pack.commits[0]

    @pytest.mark.sshd
    def test_some_of_the_packs_can_be_named(
        self, bench: Bench, instance: StandIn, packs: list[Pack], git_server: GitServer
    ) -> None:
        """Names that the task does not have, or that went well, are refused by their place."""
        for pack in packs[:2]:
            git_server.set_rule(pack.repo, MISSING)
        first = bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home)
        bench.ended(first)
        for name in ("nobody", packs[2].name):
            with pytest.raises(InvalidRequest) as refused:
                bench.service.retries.retry(first, [packs[0].name, name])
            assert refused.value.field == "nodes[1]"
        second = bench.service.retries.retry(first, [packs[0].name]).task_id
        assert [row["name"] for row in bench.ended(second)["nodes"]] == [packs[0].name]

    def test_a_run_that_never_knew_its_packs_is_repeated_whole(self, bench: Bench) -> None:
        """The instance was not reached: the list is asked for again."""
        first = _ask(bench, closed_address())
        assert bench.ended(first)["state"] == "failed"
        second = bench.service.retries.retry(first).task_id
        assert bench.installs.task(second)["request"]["manifest"] is None
        bench.ended(second)

    def test_it_is_refused_while_the_task_or_its_retry_goes_on(self, bench: Bench) -> None:
        """One retry at a time; when that one has ended another may follow."""
        with silent_address() as mute:
            first = _ask(bench, mute, wait_seconds=60)
            with pytest.raises(TaskConflict):
                bench.service.retries.retry(first)
            bench.installs.cancel(first)
            bench.ended(first)
            second = bench.service.retries.retry(first).task_id
            with pytest.raises(TaskConflict, match=second):
                bench.service.retries.retry(first)
            bench.installs.cancel(second)
            bench.ended(second)
            third = bench.service.retries.retry(first).task_id
            assert bench.installs.task(first)["retried_by"] == third
            bench.installs.cancel(third)
            bench.ended(third)


class TestByItself:
    @pytest.mark.sshd
    def test_packs_that_failed_for_a_passing_reason_are_retried(
        self, bench_factory: BenchFactory, instance: StandIn, packs: list[Pack], git_server: GitServer
    ) -> None:
        """A pack whose server asked to come later comes later; one that does not exist does not."""
        bench = bench_factory(retry_seconds=2.0)
        git_server.set_rule(packs[0].repo, LIMITED)
        git_server.set_rule(packs[1].repo, MISSING)
        first = bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home, auto_retry=2)
        status = bench.ended(first)["retry"]
        assert (status["limit"], status["count"], status["retried_by"]) == (2, 0, None)
        assert status["next_attempt_at"] > bench.installs.progress(first)["finished_at"]
        git_server.set_rule(packs[0].repo, SERVED)
        second = _retried_by(bench, first)
        end = bench.ended(second)
        assert [row["name"] for row in end["nodes"]] == [packs[0].name]
        assert (end["outcome"], end["retry"]["count"]) == ("all", 1)
        assert end["retry"]["next_attempt_at"] is None

    def test_it_is_bounded(self, bench_factory: BenchFactory) -> None:
        """So many retries as were asked for, one after the other, each later than the one before."""
        bench = bench_factory(retry_seconds=0.05)
        task_id = _ask(bench, closed_address(), auto_retry=2)
        counts = []
        for _ in range(2):
            bench.ended(task_id)
            counts.append(bench.installs.progress(task_id)["retry"]["count"])
            task_id = _retried_by(bench, task_id)
        last = bench.ended(task_id)["retry"]
        assert ([*counts, last["count"]], last["next_attempt_at"]) == ([0, 1, 2], None)
        assert len(bench.installs.list()[0]) == 3

    @pytest.mark.sshd
    def test_what_will_not_pass_is_not_retried(
        self, bench: Bench, instance: StandIn, packs: list[Pack], git_server: GitServer
    ) -> None:
        git_server.set_rule(packs[0].repo, MISSING)
        task_id = bench.start(instance.ssh_command, packs[0], ui_home=instance.ui_home, auto_retry=5)
        assert bench.ended(task_id)["retry"]["next_attempt_at"] is None
        wait_until(lambda: not bench.service.retries.call_off(task_id), what="it is settled")

    def test_a_cancel_calls_it_off(self, bench_factory: BenchFactory) -> None:
        """Who cancels a task that is to be retried does not get another one."""
        bench = bench_factory(retry_seconds=600.0)
        task_id = _ask(bench, closed_address(), auto_retry=1)
        assert bench.ended(task_id)["retry"]["next_attempt_at"] is not None
        assert bench.service.retries.call_off(task_id)
        assert bench.installs.progress(task_id)["retry"]["next_attempt_at"] is None
        assert not bench.service.retries.call_off(task_id)

    def test_a_cancelled_task_is_not_retried(self, bench: Bench) -> None:
        with silent_address() as mute:
            task_id = _ask(bench, mute, wait_seconds=60, auto_retry=3)
            bench.until(task_id, lambda status: status["state"] == "running", "it connects")
            bench.installs.cancel(task_id)
            assert bench.ended(task_id)["retry"]["next_attempt_at"] is None

    def test_a_restart_neither_loses_nor_doubles_it(self, bench_factory: BenchFactory) -> None:
        """The next service starts what the last one had planned, at the time that was planned, once."""
        first = bench_factory(retry_seconds=600.0)
        task_id = _ask(first, closed_address(), auto_retry=1)
        planned = first.ended(task_id)["retry"]["next_attempt_at"]
        first.service.close()
        second = bench_factory(retry_seconds=600.0)
        assert second.installs.progress(task_id)["retry"]["next_attempt_at"] == planned
        second.service.close()
        third = bench_factory(retry_seconds=0.05)
        retried_by = _retried_by(third, task_id)
        third.ended(retried_by)
        third.service.close()
        fourth = bench_factory(retry_seconds=0.05)
        assert {row["task_id"] for row in fourth.installs.list()[0]} == {task_id, retried_by}
        assert fourth.installs.task(task_id)["retried_by"] == retried_by


@pytest.mark.sshd
def test_a_pack_whose_parent_failed_is_retried_with_it(
    bench: Bench, instances: Callable[..., StandIn], git_server: GitServer, gate: Gate
) -> None:
    """It goes into its parent's folder, which must be there first."""
    instance = instances()
    parent, child = make_pack(git_server, "o", "parent"), make_pack(git_server, "o", "child")
    git_server.set_rule(parent.repo, MISSING)
    nodes = [
        {"name": "parent", "repo_url": parent.url},
        {"name": "child", "repo_url": child.url, "subfolder": "parent/child"},
    ]
    address = parse_address(instance.ssh_command)
    request = InstallRequest(instance.ssh_command, address, ui_home=str(instance.ui_home), manifest={"nodes": nodes})
    first = bench.installs.start(request).task_id
    bench.ended(first)
    git_server.set_rule(parent.repo, SERVED)
    second = bench.service.retries.retry(first, ["child"]).task_id
    assert bench.ended(second)["outcome"] == "all"
    assert (instance.custom_nodes / "parent" / "child" / "__init__.py").is_file()
