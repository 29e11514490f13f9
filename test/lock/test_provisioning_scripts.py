"""Provisioning scripts as people share them: bash arrays, read as text and never run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.protocol.manifest import ManifestFault
from app.protocol.other_files.read import OtherFile, read_file
from test.lock.test_other_files import packs, reasons

HF = "https://huggingface.co/o/r/resolve/main"
SCRIPT = f"""#!/bin/bash
# NODES=("https://github.com/o/in-a-comment")
source /venv/main/bin/activate
COMFYUI_DIR=${{WORKSPACE}}/ComfyUI
GITHUB='https://github.com'

APT_PACKAGES=("ffmpeg" libgl1)
PIP_PACKAGES=(
    "timm"   # for One
    #"left-out"
)
NODES=(
    "https://github.com/owner/One"
    'https://github.com/owner/Two'
    https://github.com/owner/Three
    "$GITHUB/owner/Four"
    #"https://github.com/owner/commented"
    "https://github.com/owner/Five.git" # with a comment; and a ) bracket
)
declare -a EXTRA_NODES=( "https://github.com/owner/Six" )
if [[ -n $HF_TOKEN ]]; then
    NODES+=("https://github.com/owner/Seven")
fi
WORKFLOWS=("https://example.com/w.json")
VAE_MODELS=("{HF}/ae.safetensors")
HF_MODELS=("{HF}/clip.safetensors|/workspace/ComfyUI/models/clip/clip.safetensors")
THINGS=("{HF}/x.safetensors")
cat > /tmp/x <<EOF
NODES=("https://github.com/owner/in-a-document")
EOF
function provisioning_start() {{
    local arr=("$@")
    provisioning_get_files \\
        "${{COMFYUI_DIR}}/models/vae_special" \\
        "${{VAE_MODELS[@]}}"
    provisioning_get_files "${{COMFYUI_DIR}}/models/loras" "${{THINGS[@]}}"
}}
"""


def read(text: str) -> OtherFile:
    return read_file(text, ("https", "ssh"))


def names(found: OtherFile) -> list[str]:
    return [folder for folder, _ in packs(found)]


def test_the_arrays_are_read_with_both_quotes_comments_and_additions() -> None:
    found = read(SCRIPT)
    assert found.kind == "script"
    assert names(found) == ["One", "Two", "Three", "Four", "Five", "Seven", "Six"]
    said = reasons(found)
    assert "APT_PACKAGES: ffmpeg, libgl1: System packages" in said
    assert "Python packages: timm: " in said
    assert "WORKFLOWS: https://example.com/w.json" in said
    assert "The script itself is not run" in " ".join(found.remarks)


def test_models_go_to_the_folder_that_the_script_gives_them() -> None:
    found = {model["name"]: model["folder"] for model in read(SCRIPT).models}
    assert found == {"ae.safetensors": "vae_special", "clip.safetensors": "clip", "x.safetensors": "loras"}


@pytest.mark.parametrize(
    "entry",
    [
        '"$(touch MARK)"',
        "`touch MARK`",
        '"`touch MARK`"',
        "$(touch MARK)https://github.com/o/p",
        '"${x:-$(touch MARK)}"',
        "${x:=`touch MARK`}",
        "<(touch MARK)",
        "$((1+1))",
    ],
)
def test_nothing_of_a_script_is_run(entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only running it could tell is left out, and told with its line."""
    monkeypatch.chdir(tmp_path)
    text = f'NODES=(\n  {entry.replace("MARK", str(tmp_path / "mark"))}\n  "https://github.com/owner/One"\n)\n'
    found = read(text)
    assert os.listdir(tmp_path) == []
    assert "One" in names(found)
    assert "NODES" in reasons(found) or "not the address" in reasons(found)


def test_variables_have_their_defaults_and_never_this_machines_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER", "hostile")
    found = read('NODES=("https://github.com/${OWNER:-owner}/One" "https://github.com/$OWNER/Two")\n')
    assert names(found) == ["One"]
    assert 'NODES, line 1: "https://github.com/$OWNER/Two"' in reasons(found)


def test_folders_come_by_the_scripts_own_variables_too() -> None:
    text = f"""NODES=("https://github.com/owner/One")
PYTHON_PACKAGES=("gguf")
MODELS_DIR="${{COMFYUI_DIR}}/models"
QWEN_FILES=("{HF}/q.gguf")
get "${{MODELS_DIR}}/unet_gguf"  "${{QWEN_FILES[@]}}"
"""
    found = read(text)
    assert [(model["name"], model["folder"]) for model in found.models] == [("q.gguf", "unet_gguf")]
    assert "Python packages: gguf" in reasons(found)


def test_an_array_without_an_end_is_refused_with_its_line() -> None:
    for text in ('#!/bin/bash\nNODES=(\n "https://github.com/o/p"\n', '#!/bin/sh\n\nNODES=("https://github.com/o/p)\n'):
        with pytest.raises(ManifestFault, match=r"Line [23]: the array NODES=\( is never closed"):
            read(text)


def test_clones_into_custom_nodes_are_packs_and_others_are_told() -> None:
    text = """#!/bin/bash
git clone https://github.com/owner/tool /opt/tool
cd /workspace/ComfyUI/custom_nodes
git clone --depth 1 https://github.com/owner/One && pip install -r One/requirements.txt
git clone https://github.com/owner/Two.git "mine"
cd /opt
git clone https://github.com/owner/Three /workspace/ComfyUI/custom_nodes/three
"""
    found = read(text)
    assert names(found) == ["One", "mine", "three"]
    assert "https://github.com/owner/tool: The script clones it to a folder that is not named" in reasons(found)


def test_the_variables_of_vasts_provisioner_are_read() -> None:
    found = read(
        'export PROVISIONING_GIT_REPOS="https://github.com/o/One|/workspace/ComfyUI/custom_nodes/one|v2;https://github.com/o/x"\n'
        f"PROVISIONING_DOWNLOADS='{HF}/ae.safetensors|/workspace/ComfyUI/models/vae/ae.safetensors'\n"
    )
    assert packs(found) == [("one", "v2")]
    assert [model["folder"] for model in found.models] == ["vae"]


def test_a_script_of_absurd_size_takes_no_time() -> None:
    """Reading is one pass: quotes and brackets without an end cost nothing more."""
    for text in ("NODES=(" * 50_000, 'NODES=("' + "\\" * 400_000, "NODES=(" + "$(" * 200_000, "A=(a)\n" * 80_000):
        with pytest.raises(ManifestFault):
            read("#!/bin/bash\n" + text)
