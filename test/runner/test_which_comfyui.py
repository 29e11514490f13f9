"""Which ComfyUI of a machine is meant, and where what starts it says that its packs are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.runner.machine.homes import find_home
from app.runner.machine.launch_options import launch_options
from app.runner.machine.start_settings import start_settings
from app.runner.process.errors import RunFault
from app.standin.git_server import GitServer
from app.standin.other_user import GID, UID, give_away, python_for_all
from app.standin.packs import make_pack
from app.standin.tree import write_tree
from test.runner.rig import Rig, node
from test.runner.test_running_comfyuis import make_home, needs_root, started
from test.support.waiting import wait_until

SUPERVISORD = "[program:comfyui]\ncommand=%s\ndirectory=%s\nautostart=true\n"
UNIT = "[Service]\nWorkingDirectory={home}\nExecStart=/venv/bin/python main.py --listen \\\n  --base-directory {base}\n"


@pytest.mark.parametrize(
    ("words", "base", "configs", "off"),
    [
        ("--base-directory /b --listen", "/b", [], False),
        ("--listen --base-directory=../b", "/w/b", [], False),
        ("--base-d b", "/w/c/b", [], False),
        ("--base /b", "/b", [], False),
        ("--listen 0.0.0.0 --port 8188", None, [], False),
        ("--base-directory", None, [], False),
        ("--base-directory= --port 1", None, [], False),
        ("--extra-model a.yaml /b.yaml --cpu --extra-model c", None, ["/w/c/a.yaml", "/b.yaml", "/w/c/c"], False),
        ("--base-directory /a --cpu --base-directory /b 2>&1", "/b", [], False),
        ("--disable-all-custom-nodes --whitelist-custom-nodes a b", None, [], True),
        ("--disable-all-custom", None, [], True),
        ("--disable-api-nodes --disable-auto-launch", None, [], False),
    ],
)  # fmt: skip
def test_a_command_line_is_read_as_comfyui_reads_it(
    words: str, base: str | None, configs: list[str], off: bool
) -> None:
    """argparse takes an option that is cut short, and a value behind `=`; paths start from the process's folder."""
    options = launch_options(words.split(), "/w/c")
    assert (options.base_directory and str(options.base_directory), options.without_packs) == (base, off)
    assert [str(path) for path in options.extra_configs] == configs


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("etc/supervisor/conf.d/comfyui.conf", SUPERVISORD % ("/v/python main.py --base-dir {base}", "{home}"), True),
        ("etc/supervisor/conf.d/comfyui.conf", SUPERVISORD % ("/v/python main.py --base-dir {base}", "/x"), False),
        ("etc/supervisor/supervisord/conf.d/c.conf", SUPERVISORD % ("p {home}/main.py --base '{base}'", "/"), True),
        ("etc/supervisord.conf", "[program:c]\ncommand=python {home}/main.py --base-directory '{base}'\n", True),
        ("etc/supervisord.conf", "[program:c]\ncommand=python /opt/x/main.py --base-directory '{base}'\n", False),
        ("etc/supervisord.conf", "; command=python {home}/main.py\n#python main.py --base-directory {base}\n", False),
        ("etc/systemd/system/comfyui.service", UNIT, True),
        ("etc/comfyui_args.conf", "--listen --base-directory {base}", True),
        ("etc/comfyui_args.conf", "--listen --base-directory '{base}", False),
        ("etc/comfyui_args.conf", "--base-directory {base}-gone", False),
        ("etc/comfyui_args.conf", "\0\udcff" * 50_000, False),
    ],
)  # fmt: skip
def test_what_starts_it_says_where_its_packs_are(tmp_path: Path, file: str, text: str, says: bool) -> None:
    """Supervisord's files, systemd's units, an image's file of arguments: not those of another folder."""
    home, base, root = tmp_path / "ComfyUI", tmp_path / "the base", tmp_path / "root"
    make_home(home)
    base.mkdir()
    quoted = str(base).replace(" ", "\\ ") if "'" not in text else str(base)
    (root / file).parent.mkdir(parents=True)
    filled = text.replace("{home}", str(home)).replace("{base}", quoted)
    (root / file).write_bytes(filled.encode("utf-8", "surrogateescape"))
    options, source = start_settings(home, str(root))
    assert (options.base_directory, source) == ((base, str(root / file)) if says else (None, ""))


def test_a_start_script_of_an_image_is_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vast.ai's: supervisord starts a script, which takes the arguments from a variable, with a default."""
    home, base, root = make_home(tmp_path / "ComfyUI"), tmp_path / "base", tmp_path / "root"
    base.mkdir()
    script = root / "comfyui.sh"
    (root / "etc/supervisor/conf.d").mkdir(parents=True)
    (root / "etc/supervisor/conf.d/c.conf").write_text(SUPERVISORD.partition("directory")[0] % f"/bin/bash {script}")
    script.write_text(
        f'touch {root}/run\ncd "${{WHERE}}/ComfyUI"\n'
        f"pty python main.py ${{COMFYUI_ARGS:---port 18188 --base-directory {base}}} 2>&1\n"
    )
    monkeypatch.delenv("COMFYUI_ARGS", raising=False)
    monkeypatch.setenv("WHERE", str(tmp_path))
    assert start_settings(home, str(root))[0].base_directory == base
    monkeypatch.setenv("COMFYUI_ARGS", "--port 1")
    assert start_settings(home, str(root))[0].base_directory is None
    assert not (root / "run").exists()


def test_a_folder_that_is_nearly_right_is_understood(tmp_path: Path) -> None:
    """The folder above ComfyUI's, as in a portable build. One that has nothing of ComfyUI's is refused."""
    home = make_home(tmp_path / "portable" / "ComfyUI")
    assert find_home(str(home.parent)).ui_home == home
    with pytest.raises(RunFault) as refused:
        find_home(str(tmp_path))
    assert refused.value.problem.code == "ui_home_not_found"


@pytest.mark.alone
def test_where_several_are_there_the_run_asks(rig: Rig, git_server: GitServer) -> None:
    """Two folders of which none runs: the question names both, and the answer is where the pack goes. Who does not want
    to be asked gets a failure that names both."""
    homes = [rig.home / "ComfyUI", rig.home / "comfy" / "ComfyUI"]
    for home in homes:
        write_tree(home)
    rig.environ.pop("WORKSPACE", None)
    pack = node(make_pack(git_server, "o", "small"))
    refused = rig.install([pack], ui_home=None)
    error = refused.snapshot().error
    assert error is not None
    assert error.code == "ui_home_ambiguous"
    assert all(str(home) in error.message for home in homes)
    run = rig.start([pack], ui_home=None, options={"ask": "ask"})
    wait_until(lambda: bool(run.snapshot().questions), 30, "the run asks")
    (question,) = run.snapshot().questions.values()
    assert question.asked.code == "choose_comfyui"
    number = next(each.answer for each in question.asked.answers if str(homes[1]) in each.label)
    rig.call("answer", run.task_id, f"--question={question.asked.id}", f"--answer={number}")
    run.wait()
    assert (homes[1] / "custom_nodes" / "small").is_dir()
    assert not (homes[0] / "custom_nodes" / "small").exists()


@pytest.mark.alone
def test_one_that_has_to_be_confirmed_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only one that runs is without doubt, beside one that does not run too; to be confirmed both are named, and a
    folder that was given is confirmed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    lies = make_home(tmp_path / "ComfyUI")
    asked: list[Mapping[str, str]] = []

    def choose(_text: str, answers: Mapping[str, str]) -> str:
        asked.append(answers)
        return next(key for key, label in answers.items() if str(lies) in label)

    assert find_home(None, choose, "sure").ui_home == lies
    assert not asked
    assert find_home(None, choose, "confirmed").ui_home == lies
    with pytest.raises(RunFault, match="may be another one than is meant") as refused:
        find_home(None, care="confirmed")
    assert f"--ui-home {lies}" in refused.value.problem.hint
    runs = make_home(tmp_path / "elsewhere")
    with started([python_for_all(), "main.py"], runs):
        assert find_home(None, choose, "sure").ui_home == runs
        assert len(asked) == 1
        assert find_home(None, choose, "confirmed").ui_home == lies
        assert [str(home) in " ".join(asked[1].values()) for home in (runs, lies)] == [True, True]
        assert find_home(str(runs), choose, "confirmed").ui_home == runs
        assert len(asked) == 2


@pytest.mark.alone
@needs_root
def test_of_several_that_run_the_logins_own_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's runs too; it is named, and not taken, and whoever wants no guess is asked. Where both are this
    login's, one has to be chosen."""
    monkeypatch.setenv("HOME", str(tmp_path))
    python = python_for_all()
    top = Path("/tmp") / f"nodeferry-which-{os.getpid()}"
    top.mkdir(mode=0o755)
    try:
        theirs = make_home(top / "ComfyUI")
        give_away(top)
        mine, other = make_home(tmp_path / "a" / "ComfyUI"), make_home(tmp_path / "b" / "ComfyUI")
        options = {"user": UID, "group": GID, "extra_groups": []}
        with started([python, "main.py"], theirs, **options) as foreign, started([python, "main.py"], mine):
            found = find_home(None)
            assert found.ui_home == mine
            assert [str(foreign) in each for each in found.others] == [True]
            for care, wanted in (("sure", "several"), ("confirmed", "several")):
                with pytest.raises(RunFault, match=wanted):
                    find_home(None, care=care)
            with started([python, "main.py"], other):
                with pytest.raises(RunFault):
                    find_home(None)
                asked: list[Mapping[str, str]] = []

                def choose(_text: str, answers: Mapping[str, str]) -> str:
                    asked.append(answers)
                    return next(key for key, label in answers.items() if str(other) in label)

                assert find_home(None, choose).ui_home == other
                assert all("it runs, process" in label for label in asked[0].values())
    finally:
        for path in sorted(top.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        top.rmdir()
