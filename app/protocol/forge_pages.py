"""Tables: the web sites that hold repositories, the pages that they have, and the sites that hold none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Dict, FrozenSet, Mapping, Tuple, Union


class Kind(Enum):
    """How what stands behind a page's own words is read."""

    TREE = "a ref, perhaps with a folder behind it"
    FILE = "a ref and a file"
    COMMIT = "a commit"
    NAME = "the name of a tag or branch"
    LIST = "nothing, or the name of a tag"
    ARCHIVE = "a ref with an archive's ending"
    FOLDERS = "a ref and one name behind it"
    PULL = "the number of a pull request"
    MERGE = "the number of a merge request"
    REPOSITORY = "nothing"


Pages = Dict[Tuple[str, ...], Union[Kind, str]]
"""By the first one or two words of a page: how it is read, or what it is, where it names no version."""


@dataclass(frozen=True)
class Forge:
    """A site. `own`: first words of its paths that are no owner; `longer`: those that stand before an owner; `nested`:
    repositories lie at any depth; `queries`: keys whose values name a ref, behind one of these beginnings."""

    pages: Pages
    own: Mapping[str, str] = field(default_factory=dict)
    longer: FrozenSet[str] = frozenset()
    nested: bool = False
    queries: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)


_ABOUT: Pages = {
    ("issues",): "an issue, or the list of issues",
    ("discussions",): "a discussion",
    ("wiki",): "a wiki",
    ("wikis",): "a wiki",
    ("actions",): "a page of builds (actions)",
    ("raw",): "a raw file",
    ("compare",): "a comparison of two versions",
    ("projects",): "a project board",
    ("security",): "a page about security",
    ("settings",): "a page of settings",
    ("search",): "a search",
    ("stargazers",): "a list of people",
    ("forks",): "a list of forks",
    ("pulls",): "the list of pull requests",
}
_FILES: Pages = {
    ("tree",): Kind.TREE,
    ("blob",): Kind.FILE,
    ("blame",): Kind.FILE,
    ("edit",): Kind.FILE,
    ("commit",): Kind.COMMIT,
    ("commits",): Kind.TREE,
    ("tags",): Kind.REPOSITORY,
    ("branches",): Kind.REPOSITORY,
    ("releases",): Kind.REPOSITORY,
    ("releases", "tag"): Kind.NAME,
    ("releases", "download"): Kind.FOLDERS,
    ("releases", "latest"): "the page of the newest release, whichever that is",
    ("archive",): Kind.ARCHIVE,
    ("zipball",): Kind.ARCHIVE,
    ("tarball",): Kind.ARCHIVE,
    ("pull",): Kind.PULL,
}
_GITEA: Pages = {
    ("src", "branch"): Kind.TREE,
    ("src", "tag"): Kind.TREE,
    ("src", "commit"): Kind.COMMIT,
    ("commits", "branch"): Kind.TREE,
    ("commits", "tag"): Kind.TREE,
    ("commits", "commit"): Kind.COMMIT,
    ("pulls",): Kind.PULL,
}
_GITLAB: Pages = {
    ("releases",): Kind.LIST,
    ("tags",): Kind.LIST,
    ("archive",): Kind.FOLDERS,
    ("merge_requests",): Kind.MERGE,
    ("branches",): Kind.LIST,
    ("pipelines",): "a page of builds (pipelines)",
    ("jobs",): "a page of builds (jobs)",
    ("snippets",): "a snippet",
    ("packages",): "a page of packages",
}
_BITBUCKET: Pages = {
    ("src",): Kind.TREE,
    ("branch",): Kind.NAME,
    ("commits", "branch"): Kind.NAME,
    ("commits", "tag"): Kind.NAME,
    ("get",): Kind.ARCHIVE,
    ("downloads",): Kind.REPOSITORY,
    ("pull-requests",): "a pull request, and Bitbucket does not give those to git",
}
_HUGGING: Pages = {("resolve",): Kind.FILE, ("discussions",): "a discussion, or a pull request of Hugging Face"}

_GITHUB_OWN: Mapping[str, str] = {
    "search": "a search",
    "topics": "a topic",
    "orgs": "the page of an organisation",
    "organizations": "the page of an organisation",
    "users": "the page of an owner",
    "sponsors": "the page of an owner",
    "marketplace": "a page of GitHub's marketplace",
    "apps": "a page of GitHub's marketplace",
    "stars": "a list of stars",
    "trending": "a list of GitHub",
    "explore": "a list of GitHub",
    "collections": "a list of GitHub",
    "issues": "a list of issues",
    "pulls": "a list of pull requests",
    "notifications": "a page of GitHub",
    "settings": "a page of GitHub",
    "features": "a page of GitHub",
    "login": "a page of GitHub",
    "join": "a page of GitHub",
    "about": "a page of GitHub",
    "codespaces": "a page of GitHub",
    "dashboard": "a page of GitHub",
}
_HUGGING_OWN: Mapping[str, str] = {
    "models": "a list of models",
    "docs": "a page of Hugging Face",
    "blog": "a page of Hugging Face",
    "papers": "a page of Hugging Face",
    "collections": "a list of Hugging Face",
    "organizations": "the page of an organisation",
    "search": "a search",
    "settings": "a page of Hugging Face",
}

FORGES: Mapping[str, Forge] = {
    "github.com": Forge({**_ABOUT, **_FILES}, _GITHUB_OWN),
    "gitlab.com": Forge({**_ABOUT, **_FILES, **_GITLAB}, {"explore": "a list of GitLab"}, nested=True),
    "huggingface.co": Forge({**_ABOUT, **_FILES, **_HUGGING}, _HUGGING_OWN, frozenset({"spaces", "datasets"})),
    "codeberg.org": Forge({**_ABOUT, **_FILES, **_GITEA}, {"explore": "a list of Codeberg"}),
    "gitea.com": Forge({**_ABOUT, **_FILES, **_GITEA}, {"explore": "a list of Gitea"}),
    "gitee.com": Forge(
        {**_ABOUT, **_FILES, ("pulls",): Kind.PULL, ("repository", "archive"): Kind.ARCHIVE},
        {"explore": "a list of Gitee", "search": "a search"},
    ),
    "bitbucket.org": Forge({**_ABOUT, **_FILES, **_BITBUCKET}, queries={"at": ("refs/heads/", "refs/tags/", "")}),
}
UNKNOWN = Forge(
    {**_ABOUT, **_FILES, **_GITEA, ("merge_requests",): Kind.MERGE},
    nested=True,
    queries={"version": ("GB", "GT", "GC")},
)
"""A site that nobody knows: the pages that most have."""

ALIASES: Mapping[str, str] = {
    "www.github.com": "github.com",
    "github.dev": "github.com",
    "github1s.com": "github.com",
    "deepwiki.com": "github.com",
    "gitingest.com": "github.com",
    "www.gitlab.com": "gitlab.com",
    "www.huggingface.co": "huggingface.co",
    "hf.co": "huggingface.co",
    "www.bitbucket.org": "bitbucket.org",
    "www.codeberg.org": "codeberg.org",
    "www.gitee.com": "gitee.com",
}
ARCHIVES: Mapping[str, FrozenSet[str]] = {
    "codeload.github.com": frozenset({"zip", "tar.gz", "legacy.zip", "legacy.tar.gz"}),
    "api.github.com": frozenset({"zipball", "tarball"}),
}
_REGISTRY = "a page of ComfyUI's registry"
_MODELS = "a page of models, workflows or pictures"
_FILE = "a raw file"
_TALK = "a page where people talk, or a video"
_RENTED = "a page of a rented machine or of its provider"
_PACKAGE = "a page about a package"
NO_REPOSITORY: Mapping[str, str] = {
    "gist.github.com": "a gist",
    "raw.githubusercontent.com": _FILE,
    "user-images.githubusercontent.com": "a picture",
    "objects.githubusercontent.com": _FILE,
    "gist.githubusercontent.com": _FILE,
    "registry.comfy.org": _REGISTRY,
    "www.registry.comfy.org": _REGISTRY,
    "comfyregistry.org": _REGISTRY,
    "www.comfyregistry.org": _REGISTRY,
    "api.comfy.org": _REGISTRY,
    "docs.comfy.org": "a page of ComfyUI's documentation",
    "civitai.com": _MODELS,
    "www.civitai.com": _MODELS,
    "civitai.red": _MODELS,
    "openart.ai": _MODELS,
    "comfyworkflows.com": _MODELS,
    "www.runninghub.ai": _MODELS,
    "www.liblib.art": _MODELS,
    "www.youtube.com": _TALK,
    "youtube.com": _TALK,
    "youtu.be": _TALK,
    "www.reddit.com": _TALK,
    "reddit.com": _TALK,
    "discord.gg": _TALK,
    "discord.com": _TALK,
    "www.bilibili.com": _TALK,
    "pypi.org": _PACKAGE,
    "www.npmjs.com": _PACKAGE,
    "hub.docker.com": _PACKAGE,
    **dict.fromkeys(("vast.ai", "cloud.vast.ai", "console.vast.ai", "www.runpod.io", "console.runpod.io"), _RENTED),
    **dict.fromkeys(("proxy.runpod.net", "trycloudflare.com"), _RENTED),
    "drive.google.com": "a shared file",
    "docs.google.com": "a shared file",
    "www.dropbox.com": "a shared file",
    "pastebin.com": "a note",
    "www.google.com": "a search",
    "colab.research.google.com": "a notebook",
}
INSTEAD: Mapping[str, str] = {
    _REGISTRY: "Nodeferry installs from repositories: open the page, and paste the address of the repository it names",
    "a gist": "If it is a node pack all the same, paste its git address, which ends in .git",
    _MODELS: "Paste the address of the node pack's repository: https://github.com/OWNER/NAME",
}
"""What to do about a page, where it is more than to paste the repository's own address."""
MODEL_FILES = (".safetensors", ".ckpt", ".gguf", ".pth", ".pt", ".onnx", ".sft")
ONLY_FILES: Mapping[str, str] = {
    **dict.fromkeys(MODEL_FILES, "a model's file"),
    ".json": "a workflow or another JSON file",
    ".zip": "an archive",
    ".7z": "an archive",
    ".tar.gz": "an archive",
    ".tgz": "an archive",
    ".whl": "a Python package",
    ".png": "a picture",
    ".jpg": "a picture",
    ".webp": "a picture",
    ".mp4": "a video",
    ".html": "a web page",
}
