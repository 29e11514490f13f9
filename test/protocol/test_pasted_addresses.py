"""Addresses of repositories as people paste them: each of the table is understood, or refused with words about it."""

from __future__ import annotations

import pytest

from app.protocol.manifest import ManifestFault, NodePack, parse_csv, parse_nodes, parse_urls
from app.protocol.pasted_address import list_in, read_address
from app.protocol.pasted_text import split_pasted
from app.protocol.refs import candidates
from bench.addresses.repositories import said_of
from bench.addresses.repository_table import TABLE, H, Refused

SCHEMES = ("https", "ssh")


def test_each_address_of_the_table_is_read_as_expected() -> None:
    """Some hundred forms and their mixtures."""
    assert len(TABLE) > 180
    assert [wrong for wrong in map(said_of, TABLE) if wrong] == []


def test_a_refusal_says_what_it_is_and_ends_as_a_sentence() -> None:
    """Each is a 400 of the API as it stands."""
    for entry in TABLE:
        if isinstance(entry, Refused):
            with pytest.raises(ManifestFault) as caught:
                parse_nodes([{"name": "r", "repo_url": entry.text}], SCHEMES)
            assert caught.value.message.endswith("."), entry.text
            assert caught.value.field == "manifest.nodes[0].repo_url"


def test_the_ref_of_an_address_is_the_pack_s() -> None:
    """In each form of a list; a `git clone` also names the folder."""
    pack = NodePack("r", H, ref="v1")
    assert parse_urls([f"{H}/releases/tag/v1"], SCHEMES) == [pack]
    assert parse_nodes([{"name": "r", "repo_url": f"{H}/releases/tag/v1"}], SCHEMES) == [pack]
    assert parse_csv(f"Name,RepoUrl\nr,{H}/releases/tag/v1\n", SCHEMES) == [pack]
    assert parse_urls([f"git clone -b v1 {H} mine"], SCHEMES) == [NodePack("mine", H, ref="v1")]


@pytest.mark.parametrize(
    ("address", "ref", "wanted"),
    [
        (f"{H}/tree/main", "main", "main"),
        (f"{H}/tree/feature/x/y", "feature/x", "feature/x"),
        (f"{H}/tree/feature/x/y", None, "tree:feature/x/y"),
        (f"{H}/commit/204f6d5", "204f6d5aae73b10c0fe2fb26e61405fd6337bb77", "204f6d5aae73b10c0fe2fb26e61405fd6337bb77"),
        (H, "tree:feature/x/y", "tree:feature/x/y"),
    ],
)
def test_a_ref_beside_an_address_that_agrees_is_taken(address: str, ref: str | None, wanted: str) -> None:
    """What is said twice is no contradiction, and the longer word holds."""
    assert parse_nodes([{"name": "r", "repo_url": address, "ref": ref}], SCHEMES)[0].ref == wanted


def test_a_ref_beside_an_address_that_names_another_is_refused_by_its_field() -> None:
    """Nobody guesses which was meant."""
    with pytest.raises(ManifestFault) as caught:
        parse_nodes([{"name": "r", "repo_url": f"{H}/tree/main/sub", "ref": "dev"}], SCHEMES)
    assert caught.value.field == "manifest.nodes[0].ref"
    assert caught.value.message == "The ref is 'dev', but the address names 'main/sub'. Leave one of them out."


def test_a_list_of_addresses_that_is_given_as_a_csv_is_told_so() -> None:
    """With where it belongs, and without a token that is in it."""
    with pytest.raises(ManifestFault) as caught:
        parse_csv(f"https://me:hunter2@github.com/o/r\n{H}\n", SCHEMES)
    assert "--url" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_text_of_several_is_split_and_a_command_is_not() -> None:
    """Lines, commas and spaces between addresses; comments and empty lines go."""
    text = f"# mine\n{H}, {H}2\n\n  git clone --depth 1 {H}3 \\\n    three\n- {H}4\n# git clone {H}5\n{H}6 {H}7;\n"
    assert [pack.name for pack in parse_urls([text], SCHEMES)] == ["r", "r2", "three", "r4", "r5", "r6", "r7"]
    assert split_pasted(f'"{H}", "{H}2",') == [f'"{H}"', f'"{H}2"']


def test_no_more_branches_are_thought_of_than_a_name_can_have() -> None:
    """A path of a thousand folders is no thousand questions."""
    ref = read_address(f"{H}/tree/main" + "/a" * 500, SCHEMES).ref
    assert len(candidates(ref)) == 24


def test_the_address_of_a_list_names_its_path() -> None:
    """Where the branch ends in it, the instance has to say."""
    assert list_in(f"{H}/blob/main/lists/nodes.csv?plain=1") == "tree:main/lists/nodes.csv"
    assert list_in(f"{H}/blob/main/README.md") is None
    assert list_in(H) is None
