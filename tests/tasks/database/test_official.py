import json

import pytest

from agentx.tasks.database.official import read_records
from agentx.tasks.database.scoring import is_correct
from agentx.tasks.database.settings import MUTATIONS
from agentx.tasks.environment import TaskDataError


def test_an_oracle_reproduces_every_recorded_hash_and_label(agentbench, engine):
    records = read_records(agentbench, "dev")
    uncreatable = {record.id: record.table.defect() for record in records if record.table.defect()}
    assert len(records) == 60
    assert list(uncreatable) == ["dev-005"] and "blank" in uncreatable["dev-005"]
    for record in records:
        if record.id in uncreatable:
            continue
        database = engine.open(record.table, 5)
        if record.kind in MUTATIONS:
            assert database.digest() != record.digest
            assert database.execute(record.statement).text == "[]"
            assert database.digest() == record.digest, record.id
        else:
            for scoring in ("agentbench_v02", "agentbench_main"):
                assert is_correct(repr(list(record.label)), record.label, scoring), record.id
                assert not is_correct("['no such value']", record.label, scoring), record.id
        database.close()


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(TaskDataError, match=r"paths\.agentbench is not set"):
        read_records(None, "dev")
    with pytest.raises(TaskDataError, match=r"standard\.jsonl: cannot be read"):
        read_records(tmp_path, "standard")
    (tmp_path / "dbbench").mkdir()
    for broken in ("{", "[]", "{}", json.dumps({"type": []}), json.dumps({"type": ["INSERT"], "description": "x"})):
        (tmp_path / "dbbench" / "dev.jsonl").write_text(f"\n{broken}\n")
        with pytest.raises(TaskDataError, match=r"dev\.jsonl, line 2"):
            read_records(tmp_path, "dev")
