"""ComfyUI's start in small: imports custom nodes as ComfyUI does, and says what ComfyUI says.

Follows main.py (`execute_prestartup_script`) and nodes.py (`load_custom_node`, `init_external_custom_nodes`) of ComfyUI
0.3 to 0.22: what is skipped, in which order, how a failure is told. Nothing here generates pictures.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import logging
import os
import sqlite3
import sys
import time
import traceback
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

COLOURED_LOG = False
VERSION = "0.22.0"
BASE = Path(__file__).resolve().parent
NODE_CLASS_MAPPINGS: dict[str, Any] = {}
NODE_MODULES: dict[str, str] = {}
PRINTED: deque[dict[str, str]] = deque(maxlen=300)


def parse_arguments() -> argparse.Namespace:
    """The part of ComfyUI's command line that matters to an installation."""
    parser = argparse.ArgumentParser()
    for switch in (
        "--quick-test-for-ci",
        "--disable-all-custom-nodes",
        "--cpu",
        "--disable-auto-launch",
        "--log-stdout",
    ):
        parser.add_argument(switch, action="store_true")
    parser.add_argument("--whitelist-custom-nodes", nargs="+", default=[])
    parser.add_argument("--listen", nargs="?", const="0.0.0.0,::", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8188)
    for option in (
        "--base-directory",
        "--user-directory",
        "--output-directory",
        "--input-directory",
        "--temp-directory",
    ):
        parser.add_argument(option, default=None)
    parser.add_argument("--extra-model-paths-config", nargs="+", action="append", default=[])
    parser.add_argument("--database-url", default=None)
    parser.add_argument("--verbose", nargs="?", const="DEBUG", default="INFO")
    return parser.parse_args()


class KeptStream:
    """A standard stream whose last writes `/internal/logs/raw` shows, as ComfyUI's LogInterceptor."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Keep it and pass it on."""
        PRINTED.append({"t": "", "m": text})
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ColouredFormatter(logging.Formatter):
    """Newer versions put a coloured level before each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its level."""
        colour = {"INFO": 32, "WARNING": 33, "ERROR": 31}.get(record.levelname, 37)
        return f"\x1b[{colour}m[{record.levelname}]\x1b[0m {super().format(record)}"


def set_up_logging(args: argparse.Namespace) -> None:
    """Plain messages on stderr, or on stdout if asked."""
    sys.stdout, sys.stderr = KeptStream(sys.stdout), KeptStream(sys.stderr)
    handler = logging.StreamHandler(sys.stdout if args.log_stdout else sys.stderr)
    handler.setFormatter(ColouredFormatter("%(message)s") if COLOURED_LOG else logging.Formatter("%(message)s"))
    logging.basicConfig(level=args.verbose, handlers=[handler])


def skipped(args: argparse.Namespace, name: str) -> bool:
    """Whether the command line switches this pack off."""
    return args.disable_all_custom_nodes and name not in args.whitelist_custom_nodes


def pack_folders(args: argparse.Namespace, base: Path) -> list[Path]:
    """The base directory's custom_nodes, and those that extra_model_paths.yaml and its like add."""
    found = [base / "custom_nodes"]
    own = BASE / "extra_model_paths.yaml"
    configs = [own] if own.is_file() else []
    for config in [*configs, *(Path(path) for paths in args.extra_model_paths_config for path in paths)]:
        for section in sections_of(config.read_text("utf-8")):
            top = config.resolve().parent / os.path.expandvars(os.path.expanduser(section.get("base_path", "")))
            if "custom_nodes" in section:
                folder = Path(os.path.normpath(top / section["custom_nodes"]))
                is_default = section.get("is_default") == "true"
                found = [folder, *found] if is_default else [*found, *([folder] if folder not in found else [])]
    return found


def sections_of(text: str) -> list[dict[str, str]]:
    """Sections of keys and values: as much of YAML as such files have."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        if key.strip() and not line[0].isspace():
            found.append({})
        elif key.strip() and found:
            found[-1][key.strip()] = value.strip().strip("\"'")
    return found


def run_prestartup_scripts(args: argparse.Namespace, custom_nodes: Path) -> None:
    """Each pack's prestartup_script.py, before anything else; a failure is told and does not stop."""
    if args.disable_all_custom_nodes and not args.whitelist_custom_nodes:
        return
    times = []
    for name in os.listdir(custom_nodes):
        folder = custom_nodes / name
        if folder.is_file() or name.endswith(".disabled") or name == "__pycache__":
            continue
        script = folder / "prestartup_script.py"
        if not script.exists():
            continue
        if skipped(args, name):
            logging.info("Prestartup Skipping %s due to disable_all_custom_nodes and whitelist_custom_nodes", name)
            continue
        started = time.perf_counter()
        good = run_script(script)
        times.append((time.perf_counter() - started, str(folder), good))
    tell_times("Prestartup times for custom nodes:", " (PRESTARTUP FAILED)", times)


def run_script(script: Path) -> bool:
    """Run one file as a module; False when it raised."""
    try:
        load(os.path.splitext(script)[0], script)
    except Exception as exc:
        logging.error("Failed to execute startup-script: %s / %s", script, exc)
        return False
    return True


def load(module_name: str, file: Path) -> Any:
    """Import a file under a name of its own, as ComfyUI names packs."""
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def load_custom_node(path: Path) -> bool:
    """Import one pack; False when it failed or has no nodes."""
    name = os.path.splitext(path)[0] if path.is_file() else str(path).replace(".", "_x_")
    try:
        logging.debug("Trying to load custom node %s", path)
        module = load(name, path if path.is_file() else path / "__init__.py")
        mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
        if mappings is None and not hasattr(module, "comfy_entrypoint"):
            logging.warning(
                "Skip %s module for custom nodes due to the lack of NODE_CLASS_MAPPINGS or NODES_LIST (need one).", path
            )
            return False
        if mappings is None and not call_entrypoint(module.comfy_entrypoint, path):
            return False
        for node, node_class in (mappings or {}).items():
            NODE_CLASS_MAPPINGS[node] = node_class
            NODE_MODULES[node] = f"custom_nodes.{path.name}"
    except Exception as exc:
        logging.warning(traceback.format_exc())
        logging.warning("Cannot import %s module for custom nodes: %s", path, exc)
        return False
    return True


def call_entrypoint(entrypoint: Any, path: Path) -> bool:
    """Ask a pack of ComfyUI's third node API for its nodes (which are of no interest here); False when it fails."""
    if not callable(entrypoint):
        logging.warning("comfy_entrypoint in %s is not callable, skipping.", path)
        return False
    import asyncio  # takes its time, and few packs need it

    try:
        asyncio.run(entrypoint()) if asyncio.iscoroutinefunction(entrypoint) else entrypoint()
    except Exception as exc:
        logging.warning("Error while calling comfy_entrypoint in %s: %s", path, exc)
        return False
    return True


def load_custom_nodes(args: argparse.Namespace, folders: list[Path]) -> None:
    """Import all packs and tell how long each took."""
    times = []
    for path in [folder / name for folder in folders for name in os.listdir(os.path.realpath(folder))]:
        name = path.name
        if name == "__pycache__" or name.endswith(".disabled") or (path.is_file() and path.suffix != ".py"):
            continue
        if skipped(args, name):
            logging.info("Skipping %s due to disable_all_custom_nodes and whitelist_custom_nodes", name)
            continue
        started = time.perf_counter()
        good = load_custom_node(path)
        times.append((time.perf_counter() - started, str(path), good))
    tell_times("Import times for custom nodes:", " (IMPORT FAILED)", times)


def tell_times(title: str, failed: str, times: list[tuple[float, str, bool]]) -> None:
    """ComfyUI's table; none for no packs."""
    if not times:
        return
    logging.info("\n%s", title)
    for seconds, path, good in sorted(times):
        logging.info("%s", f"{seconds:6.1f} seconds{'' if good else failed}: {path}")
    logging.info("")


def set_up_device(args: argparse.Namespace) -> Any:
    """Import torch; without a GPU ComfyUI starts with --cpu only."""
    torch = importlib.import_module("torch")
    logging.info("pytorch version: %s", torch.__version__)
    if not args.cpu and not torch.cuda.is_available():
        raise RuntimeError(
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver "
            "from http://www.nvidia.com/Download/index.aspx"
        )
    logging.info("Device: %s", "cpu" if args.cpu else "cuda:0")
    return torch


def set_up_database(args: argparse.Namespace, user_directory: Path) -> None:
    """ComfyUI opens its database at each start, in its quick test too."""
    user_directory.mkdir(parents=True, exist_ok=True)
    url = args.database_url or f"sqlite:///{user_directory / 'comfyui.db'}"
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.close()


USERDATA = "/userdata/"


def userdata(address: str) -> Path:
    """The file of the user at an address, one folder deep."""
    folder, _, name = unquote(address.partition("?")[0].removeprefix(USERDATA)).rpartition("/")
    return BASE / "user" / "default" / Path(folder).name / Path(name).name


class Routes(BaseHTTPRequestHandler):
    """The routes that tell whether ComfyUI is up, which nodes it has, and what it printed."""

    def do_GET(self) -> None:
        """`/system_stats`, `/object_info` and `/internal/logs/raw`, with or without `/api`."""
        answers = {"/system_stats": system_stats, "/object_info": object_info, "/internal/logs/raw": logs}
        answer = answers.get(self.path.partition("?")[0].removeprefix("/api"))
        body = json.dumps(answer() if answer else {}).encode()
        found = bool(answer)
        if self.path.startswith(USERDATA):
            file = userdata(self.path)
            found, body = file.is_file(), file.read_bytes() if file.is_file() else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """A file of the user, which is overwritten unless the address says not to."""
        file, content = userdata(self.path), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        exists = file.exists() and "overwrite=false" in self.path
        if not exists:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        self.send_response(409 if exists else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """ComfyUI logs no requests."""


def system_stats() -> dict[str, Any]:
    """What `/system_stats` answers, its device list empty."""
    torch = importlib.import_module("torch")
    system = {
        "os": "posix",
        "comfyui_version": VERSION,
        "python_version": sys.version,
        "pytorch_version": torch.__version__,
        "embedded_python": False,
        "argv": sys.argv,
    }
    return {"system": system, "devices": []}


def object_info() -> dict[str, Any]:
    """What `/object_info` answers, as far as a check of packs reads it."""
    return core_classes() | {name: about(name, node_class) for name, node_class in NODE_CLASS_MAPPINGS.items()}


def about(name: str, node_class: Any) -> dict[str, Any]:
    """What it says of one class."""
    inputs = node_class.INPUT_TYPES() if hasattr(node_class, "INPUT_TYPES") else {}
    return {
        "input": inputs,
        "input_order": {part: list(found) for part, found in inputs.items()},
        "output": list(getattr(node_class, "RETURN_TYPES", ())),
        "name": name,
        "display_name": name,
        "python_module": NODE_MODULES[name],
        "category": "stand-in",
        "output_node": bool(getattr(node_class, "OUTPUT_NODE", False)),
    }


def core_classes() -> dict[str, Any]:
    """A loader and a node that saves, as ComfyUI itself has them; the loader offers what lies in the folder."""
    folder = BASE / "models" / "checkpoints"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    loader = {"input": {"required": {"ckpt_name": [names, {}]}}, "output": ["MODEL", "CLIP", "VAE"]}
    taken = {"required": {"text": ["STRING", {"forceInput": True}]}, "optional": {"model": ["MODEL"]}}
    saver = {"input": taken, "output": [], "output_node": True}
    found: dict[str, dict[str, Any]] = {"CheckpointLoaderSimple": loader, "SaveText": saver}
    shared: dict[str, Any] = {"python_module": "nodes", "output_node": False}
    return {name: {"name": name, **shared, **each} for name, each in found.items()}


def logs() -> dict[str, Any]:
    """What `/internal/logs/raw` answers."""
    return {"entries": list(PRINTED), "size": {"cols": 80, "rows": 24}}


def main() -> None:
    """Start; end after the imports in quick-test mode, else serve until killed."""
    args = parse_arguments()
    set_up_logging(args)
    base = Path(args.base_directory).resolve() if args.base_directory else BASE
    folders = pack_folders(args, base)
    folders[0].mkdir(exist_ok=True)
    sys.path.insert(0, str(BASE))
    for folder in folders:
        run_prestartup_scripts(args, folder)
    set_up_device(args)
    logging.info("Python version: %s", sys.version)
    logging.info("ComfyUI version: %s", VERSION)
    load_custom_nodes(args, folders)
    set_up_database(args, Path(args.user_directory) if args.user_directory else base / "user")
    if args.quick_test_for_ci:
        sys.exit(0)
    server = ThreadingHTTPServer((args.listen, args.port), Routes)
    logging.info("Starting server\n")
    logging.info("To see the GUI go to: http://%s:%s", args.listen, server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
