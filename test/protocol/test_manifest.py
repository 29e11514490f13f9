"""Manifests: each form that users have, and everything that must not get through."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.manifest import ManifestFault, NodePack, parent_of, parse_csv, parse_nodes, parse_urls, split_source

SCHEMES = ("https", "ssh")
HEADER = "Name,RepoUrl,Subfolder,RequirementsFile\n"
URL = "https://github.com/owner/pack.git"
AUTO_INSTALLER_LIST = Path(__file__).parents[1] / "support" / "custom_nodes.csv"


def test_the_auto_installer_s_list_is_read() -> None:
    """The real list: 34 packs, one of them in another's folder."""
    packs = parse_csv(AUTO_INSTALLER_LIST.read_text("utf-8"), SCHEMES)
    assert len(packs) == 34
    nested = [pack for pack in packs if pack.subfolder]
    assert [pack.folder for pack in nested] == ["ComfyUI-Impact-Pack/impact_subpack"]
    parent = parent_of(nested[0], packs)
    assert parent is not None
    assert parent.name == "ComfyUI-Impact-Pack"


def test_blank_lines_comments_quotes_and_a_byte_order_mark_do_no_harm() -> None:
    """What spreadsheets and people write."""
    text = "\ufeff" + HEADER + f'\n# mine\n"A pack",{URL},,\n'
    assert parse_csv(text, SCHEMES) == [NodePack("A pack", URL)]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("first", ["", "sep=;\n", "\ufeff", "# mine\n\n"])
def test_excel_s_ways_to_write_a_csv_are_read(mark: str, first: str) -> None:
    """Its own first line, a byte order mark, and semicolons or tabs between the columns."""
    rows = [("Name", "RepoUrl", "Subfolder"), ("One", "https://github.com/o/one", "sub"), ("Two", URL, "")]
    text = first + "".join(mark.join(row) + "\r\n" for row in rows)
    assert [(pack.name, pack.subfolder) for pack in parse_csv(text, SCHEMES)] == [("One", "sub"), ("Two", None)]


@pytest.mark.parametrize(
    ("row", "line"),
    [("Bad,nonsense", 5), ('"Bad,https://github.com/o/x', 5), ("a,b,c,d,e,f,g", 5), ("../x,https://github.com/o/x", 5)],
)
def test_a_fault_names_its_line_as_an_editor_counts(row: str, line: int) -> None:
    """Comments and empty lines are lines too."""
    with pytest.raises(ManifestFault, match=f"Line {line}"):
        parse_csv(f"# mine\n\nName,RepoUrl\nOne,https://github.com/o/one\n{row}\n", SCHEMES)


def test_urls_are_named_as_their_repositories() -> None:
    """`owner/pack.git` installs as `pack`."""
    packs = parse_urls([URL, "git@github.com:owner/other.git"], SCHEMES)
    assert [pack.name for pack in packs] == ["pack", "other"]


@pytest.mark.parametrize(
    "row",
    [
        f"pack,{URL},../up,",
        f"pack,{URL},/etc,",
        f"pack,{URL},a//b,",
        f"pack,{URL},,../requirements.txt",
        f"pack,{URL},,/etc/passwd",
        f"../pack,{URL},,",
        f".hidden,{URL},,",
        f"-pack,{URL},,",
        f"pa\ud800ck,{URL},,",
        f"pack.disabled,{URL},,",
        f"a/b,{URL},,",
        f",{URL},,",
        "pack,,,",
        "pack,ext::sh -c id,,",
        "pack,ext::sh,,",
        "pack,file:///etc,,",
        "pack,/srv/git/pack,,",
        "pack,--upload-pack=id,,",
        "pack,http://github.com/o/r,,",
        "pack,https://user:secret@github.com/o/r,,",
        "pack,https://token@github.com/o/r,,",
        "pack,https://github.com,,",
        "pack,ssh://-oProxyCommand=id/x,,",
        f"pack,{URL},,,,,extra",
        f"pack,{URL},,\npack,https://github.com/somebody/pack,,",
        f"pack,{URL},,\nPACK,{URL},elsewhere,",
        f"one,{URL},same,\ntwo,{URL},same,",
    ],
)
def test_a_row_that_must_not_get_through_is_refused_by_name(row: str) -> None:
    """Hostile and broken entries end here, on both sides, with the field and the reason."""
    with pytest.raises(ManifestFault) as caught:
        parse_csv(HEADER + row, SCHEMES)
    assert caught.value.field == "manifest.csv"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "header", ["", "Name\n", "Url,Name\n", "Name,RepoUrl,Nonsense\n", "Name,RepoUrl,Name\n", "<html>\n"]
)
def test_another_header_is_refused(header: str) -> None:
    """A file of another kind is not guessed at."""
    with pytest.raises(ManifestFault):
        parse_csv(header + f"pack,{URL}", SCHEMES)


def test_a_node_s_field_is_named() -> None:
    """The culprit is found again in the request."""
    nodes = [{"name": "good", "repo_url": URL}, {"name": "bad", "repo_url": URL, "subfolder": "../x"}]
    with pytest.raises(ManifestFault) as caught:
        parse_nodes(nodes, SCHEMES)
    assert caught.value.field == "manifest.nodes[1].subfolder"


@pytest.mark.parametrize("ref", ["main", "v1.2.3", "a" * 40, "feature/x"])
def test_a_ref_is_a_branch_tag_or_commit(ref: str) -> None:
    """Pins of every kind are taken."""
    assert parse_nodes([{"name": "pack", "repo_url": URL, "ref": ref}], SCHEMES)[0].ref == ref


@pytest.mark.parametrize("ref", ["-x", "--upload-pack=id", "a..b", "a b", "", "a\nb", 3])
def test_a_ref_that_git_could_misread_is_refused(ref: object) -> None:
    """Nothing that looks like an option, a range or two words."""
    with pytest.raises(ManifestFault):
        parse_nodes([{"name": "pack", "repo_url": URL, "ref": ref}], SCHEMES)


@pytest.mark.parametrize("manifest", [{}, {"csv": "x", "urls": []}, {"csv": "x", "path": "p"}, {"nonsense": {}}])
def test_a_manifest_has_exactly_one_form(manifest: dict[str, object]) -> None:
    """Nothing is chosen silently."""
    with pytest.raises(ManifestFault):
        split_source(manifest)


@given(st.text(max_size=300))
def test_any_text_is_a_manifest_or_a_fault(text: str) -> None:
    """No input brings the parser down, and nothing unsafe comes out of it."""
    try:
        packs = parse_csv(HEADER + text, SCHEMES)
    except ManifestFault:
        return
    for pack in packs:
        assert ".." not in pack.folder.split("/")
        assert not pack.folder.startswith(("/", ".", "-"))
        assert pack.repo_url.startswith(("https://", "ssh://")) or "@" in pack.repo_url


def test_an_entry_that_says_the_same_again_is_left_out_and_two_versions_are_refused() -> None:
    """A list that was put together from several has some packs twice, in other spellings. One pack cannot be there at
    two versions, nor two repositories under one name; the message names both."""
    repeated: list[NodePack] = []
    urls = ["https://github.com/o/r", "git@github.com:O/R.git", "https://ghfast.top/https://github.com/o/r"]
    packs = parse_urls([*urls, "https://github.com/o/other"], ("https", "ssh"), on_repeated=repeated.append)
    assert [pack.name for pack in packs] == ["r", "other"]
    assert [pack.repo_url for pack in repeated] == urls[1:]
    nodes = [{"name": "r", "repo_url": urls[0], "ref": "v1"}, {"name": "R", "repo_url": urls[1]}]
    with pytest.raises(ManifestFault, match="twice: at v1 and at its newest version"):
        parse_nodes(nodes, ("https", "ssh"))
    with pytest.raises(ManifestFault, match="github.com/o/r and https://github.com/fork/r"):
        parse_urls([urls[0], "https://github.com/fork/r"], ("https",))
