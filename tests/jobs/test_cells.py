import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.config import PathSettings
from agentx.jobs import cells
from agentx.tasks.database.settings import Settings as DatabaseSettings
from agentx.tasks.general.settings import Settings as GeneralSettings
from agentx.tasks.household.settings import Settings as HouseholdSettings
from agentx.tasks.mind2web.settings import Settings as Mind2WebSettings
from agentx.tasks.operating_system.settings import Settings as OsSettings
from agentx.tasks.webshop.settings import Settings as WebShopSettings

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


def test_changed_data_of_the_user_are_another_cell(tmp_path, monkeypatch):
    paths = PathSettings(agentbench=tmp_path)
    task = DatabaseSettings(source="official", split="dev", samples=None)
    (tmp_path / "dbbench").mkdir()
    empty = cells.sources_fingerprint(task, paths)
    data = tmp_path / "dbbench" / "dev.jsonl"
    data.write_text("{}\n")
    first = cells.sources_fingerprint(task, paths)
    data.write_text("{}\n{}\n")
    assert len({empty, first, cells.sources_fingerprint(task, paths)}) == 3
    (tmp_path / "dbbench" / "standard.jsonl").write_text("another split")
    data.write_text("{}\n")
    assert cells.sources_fingerprint(task, paths) == first
    monkeypatch.setattr(cells, "_WHOLE", 8)
    monkeypatch.setattr(cells, "_END", 2)
    data.write_text("ab____end_of_it")
    long = cells.sources_fingerprint(task, paths)
    data.write_text("ab____end_of_IT")
    assert cells.sources_fingerprint(task, paths) != long


def test_generated_samples_have_no_sources():
    assert cells.sources_fingerprint(DatabaseSettings(), PathSettings()) is None


def test_a_file_of_questions_counts_wherever_it_is(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("one")
    first = cells.sources_fingerprint(GeneralSettings(path=path), PathSettings())
    path.write_text("two")
    assert cells.sources_fingerprint(GeneralSettings(path=path), PathSettings()) != first


@pytest.mark.parametrize(
    ("settings", "option", "file"),
    [
        (DatabaseSettings(replies="agentbench"), "agentbench", "../src/server/tasks/dbbench/__init__.py"),
        (OsSettings(source="official", split="dev", samples=None), "agentbench", "os_interaction/scripts/dev/a.sh"),
        (HouseholdSettings(source="official", split="dev"), "agentbench", "alfworld/dev.json"),
        (HouseholdSettings(source="official", split="valid_seen"), "alfworld", "valid_seen/a/b/game.tw-pddl"),
        (WebShopSettings(source="official", split="dev"), "webshop", "items_human_ins.json"),
        (Mind2WebSettings(source="official", split="dev", scores="official"), "mind2web", "data_dev/data_0.json"),
    ],
)
def test_every_task_names_its_sources(tmp_path, settings, option, file):
    folder = tmp_path / "data"
    folder.mkdir()
    paths = PathSettings(**{option: folder})
    before = cells.sources_fingerprint(settings, paths)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("x")
    assert cells.sources_fingerprint(settings, paths) != before
