"""Names, folders and addresses of model files, as files of other tools and workflows spell them."""

from __future__ import annotations

from typing import Any, Optional, Tuple
from urllib.parse import urlsplit

_LONGEST_NAME = 500
_LONGEST_URL = 2000
_SECRETS = ("token=", "api_key=", "apikey=", "key=")
_MODELS = "models"


def relative_path(value: str) -> Optional[str]:
    """A relative path with forward slashes; None for what would leave its folder, or is none."""
    if not value.strip() or len(value) > _LONGEST_NAME or not value.isprintable():
        return None
    parts = value.strip().replace("\\", "/").rstrip("/").split("/")
    if value.startswith(("/", "~", "\\")) or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        return None
    return "/".join(parts)


def file_of(path: str) -> Tuple[Optional[str], Optional[str]]:
    """Folder below `models` and file name of a path like `/workspace/ComfyUI/models/vae/ae.safetensors`; a path that
    ends in a slash, or in a name without a dot, is a folder. None for what is not known."""
    text = path.strip().replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if _MODELS in parts:
        parts = parts[len(parts) - parts[::-1].index(_MODELS) :]
    elif text.startswith(("/", "~")):
        return None, None
    if ".." in parts or not parts:
        return None, None
    is_folder = text.endswith("/") or "." not in parts[-1]
    folder, name = (parts, None) if is_folder else (parts[:-1], parts[-1])
    return relative_path("/".join(folder)), name


def model_url(value: Any) -> Optional[str]:
    """The address of a model's file; a page of Hugging Face (`/blob/`) as the file itself. None for what is no address.
    A token in it is left out."""
    if not isinstance(value, str) or len(value) > _LONGEST_URL or not value.strip().isprintable():
        return None
    try:
        parts = urlsplit(value.strip())
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        return None
    path, query = parts.path, parts.query
    if host == "huggingface.co" or host.endswith(".huggingface.co"):
        path, query = path.replace("/blob/", "/resolve/", 1), ""
    kept = "&".join(each for each in query.split("&") if each and not each.lower().startswith(_SECRETS))
    return parts._replace(path=path, query=kept, fragment="").geturl()
