"""What a snapshot names and cannot be had, in the API's answers."""

from __future__ import annotations

from test.api.client import START, Api, closed_address, content

HASH = "0123456789" * 4
SNAPSHOT = {
    "git_custom_nodes": {"https://github.com/o/one": {"hash": HASH}, "/root/mine": {"hash": HASH}},
    "cnr_custom_nodes": {"kjnodes": "nightly", "rgthree": "1.0"},
}
MANIFEST = {"manager_snapshot": SNAPSHOT}


def test_a_preview_names_it(api: Api) -> None:
    found = content(api.post("/manifests/check", {"manifest": MANIFEST}))
    assert [node["name"] for node in found["nodes"]] == ["one", "rgthree"]
    left_out = [(each["name"], each["version"]) for each in found["left_out"]]
    assert left_out == [("/root/mine", HASH), ("kjnodes", "nightly")]
    assert all(each["reason"] for each in found["left_out"])
    assert content(api.post("/manifests/check", {"manifest": None}))["left_out"] == []


def test_a_start_names_it_and_exact_refuses(api: Api) -> None:
    body = {"ssh_connection": closed_address(), "manifest": MANIFEST, "options": {"wait_seconds": 0}}
    started = content(api.post(START, body))
    assert [each["name"] for each in started["left_out"]] == ["/root/mine", "kjnodes"]
    for manifest in (MANIFEST, content(api.post("/manifests/check", {"manifest": MANIFEST}))["manifest"]):
        refused = api.post(START, {**body, "manifest": manifest, "options": {"exact": True}})
        told = content(refused)
        assert (refused.status_code, told["field"]) == (400, "options.exact")
        assert "2 entries cannot be had" in told["message"]
        assert "/root/mine: It is a folder" in told["message"] and "kjnodes: Its nightly version" in told["message"]


def test_wrong_entries_of_a_list_of_addresses_are_named_together(api: Api) -> None:
    """Each with its place; at most twenty, and none where the fault is between entries."""
    urls = ["https://github.com/o/one", "https://github.com/o", "file:///etc", "https://github.com/o/two"]
    refused = content(api.post("/manifests/check", {"manifest": {"urls": urls}}))
    assert refused["field"] == "manifest.urls[1]"
    assert [each["field"] for each in refused["wrong_entries"]] == ["manifest.urls[1]", "manifest.urls[2]"]
    many = content(api.post("/manifests/check", {"manifest": {"urls": ["nonsense here"] * 500}}))
    assert len(many["wrong_entries"]) == 20
    twice = content(api.post("/manifests/check", {"manifest": {"urls": [urls[0], "https://github.com/p/one"]}}))
    assert "wrong_entries" not in twice


def test_wrong_lines_and_nodes_are_named_together_too(api: Api) -> None:
    """Lines are counted as an editor does; a text that is no CSV has none by itself."""
    text = "# mine\nName,RepoUrl\nOne,https://github.com/o/one\n\nTwo,nonsense\nThree,https://x/y,,,,,z\n"
    refused = content(api.post("/manifests/check", {"manifest": {"csv": text}}))
    assert [each["field"] for each in refused["wrong_entries"]] == ["manifest.csv[5]", "manifest.csv[6]"]
    assert refused["wrong_entries"][0]["message"].startswith("Line 5: ")
    nodes = [{"name": "one", "repo_url": "https://github.com/o/one"}, {"name": "two"}, "three"]
    refused = content(api.post("/manifests/check", {"manifest": {"nodes": nodes}}))
    assert [each["field"] for each in refused["wrong_entries"]] == ["manifest.nodes[1]", "manifest.nodes[2]"]
    for broken in ("no header\n", 'Name,RepoUrl\n"One,https://github.com/o/one\n'):
        assert "wrong_entries" not in content(api.post("/manifests/check", {"manifest": {"csv": broken}}))
