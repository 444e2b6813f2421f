import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agentx.jobs import cells

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_a_fingerprint_ignores_the_order_of_keys(identity):
    turned = dict(reversed(list(identity.items())))
    assert cells.fingerprint(identity) == cells.fingerprint(turned)


def test_a_fingerprint_tells_values_apart():
    identities = [{"a": 1}, {"a": "1"}, {"a": 1.5}, {"a": None}, {"b": 1}, {"a": [1]}, {"a": Path("1/2")}]
    assert len({cells.fingerprint(identity) for identity in identities}) == len(identities)


def test_a_changed_file_changes_the_fingerprint(tmp_path):
    (tmp_path / "a.yaml").write_text("x")
    (tmp_path / "b.yaml").write_text("y")
    before = cells.file_fingerprint(tmp_path.glob("*.yaml"))
    assert before == cells.file_fingerprint(sorted(tmp_path.glob("*.yaml"), reverse=True))
    (tmp_path / "b.yaml").write_text("z")
    assert before != cells.file_fingerprint(tmp_path.glob("*.yaml"))


def test_provenance_names_commit_packages_and_command():
    record = json.loads(json.dumps(cells.provenance()))
    assert {"git_commit", "git_diff", "packages", "python", "command"} <= set(record)
    assert record["packages"]["torch"] and record["packages"]["transformers"]


def test_a_cell_continued_on_another_system_is_told(tmp_path, caplog):
    cells.record_task(tmp_path, {"sandbox": "namespaces", "packages": "a"})
    cells.record_task(tmp_path, {"packages": "a", "sandbox": "namespaces"})
    assert not caplog.records
    cells.record_task(tmp_path, {"sandbox": "namespaces", "packages": "b"})
    assert "started from another system" in caplog.text
    assert '"packages": "a"' in (tmp_path / "task.json").read_text()
