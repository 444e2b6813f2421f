import asyncio

import pytest

from agentx.tasks.database import actions
from agentx.tasks.database.environment import DatabaseEnvironment
from agentx.tasks.database.settings import Settings
from agentx.tasks.database.sqlite import SqliteEngine
from agentx.tasks.database.tables import Record, Table, digest_rows
from agentx.tasks.environment import Action, TaskDataError
from agentx.trajectory import Outcome, Verdict

UPDATE = "UPDATE `Some Things` SET `Size` = '99' WHERE `Name` = 'name 3'"


@pytest.fixture
def query(table):
    return Record("q", "counting", "How many are x?\nThe table is Some Things.", table, label=("6",))


@pytest.fixture
def mutation(table):
    changed = [("name 3", "99", "x") if row[0] == "name 3" else row for row in table.rows]
    return Record("m", "UPDATE", "Set it.", table, statement=UPDATE, digest=digest_rows(changed))


def play(record, *texts, engine=SqliteEngine, **options):
    async def run():
        environment = DatabaseEnvironment(engine, record, Settings(**options))
        first = await environment.reset()
        results = [await environment.step(Action(text, text or "")) for text in texts]
        with pytest.raises(RuntimeError) if results and results[-1].done else _nothing():
            await environment.step(Action("Answer\nFinal Answer: 1", ""))
        await environment.close()
        return first, results

    return asyncio.run(run())


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return False


def op(statement):
    return actions.operation(statement)


def test_a_query_is_won_by_the_right_answer(query, engine):
    first, (looked, answered) = play(
        query,
        op("SELECT COUNT(*) FROM `Some Things` WHERE `Kind %` = 'x'"),
        "Answer\nFinal Answer: ['6']",
        engine=lambda: engine,
    )
    assert first.text == query.description
    assert (looked.observation.text, looked.reward, looked.done, looked.verdict) == ("[(6,)]", 0, False, Verdict.VALID)
    assert (answered.reward, answered.outcome, answered.executed) == (1, Outcome.COMPLETED, "['6']")


def test_a_wrong_answer_completes_the_episode_unrewarded(query):
    _, (answered,) = play(query, "Answer\nFinal Answer: ['7']")
    assert (answered.reward, answered.outcome) == (0, Outcome.COMPLETED)


@pytest.mark.parametrize("last", ["Answer\nFinal Answer: []", "nonsense", None])
def test_a_mutation_is_won_by_the_table_however_the_episode_ends(mutation, engine, last):
    _, (changed, ended) = play(mutation, op(UPDATE), last, engine=lambda: engine)
    assert (changed.observation.text, changed.reward, changed.done) == ("[]", 1, False)
    assert (ended.reward, ended.outcome) == (1, Outcome.COMPLETED if last and "Answer" in last else ended.outcome)
    assert ended.done


def test_a_mutation_undone_again_is_lost(mutation, engine):
    _, results = play(mutation, op(UPDATE), op("UPDATE `Some Things` SET `Size` = 1"), engine=lambda: engine)
    assert [result.reward for result in results] == [1, 0]


@pytest.mark.parametrize("text", [None, "SELECT 1", "Operation\nSELECT 1", "Answer\nsix"])
def test_a_reply_out_of_form_ends_the_episode(query, text):
    _, (result,) = play(query, text)
    assert (result.outcome, result.verdict) == (Outcome.INVALID_FORMAT, Verdict.INVALID_FORMAT)


def test_rounds_run_out(query):
    _, results = play(query, *[op("SELECT 1")] * 3, max_rounds=3)
    assert [result.outcome for result in results] == [None, None, Outcome.TASK_LIMIT]


@pytest.mark.parametrize(
    ("statement", "error", "verdict"),
    [
        ("SELECT `Colour` FROM `Some Things`", "1054 (42S22): Unknown column 'Colour'", Verdict.HALLUCINATED),
        ("SELECT 1 FROM `Other`", "1146 (42S02): Table 'Some Things.Other' doesn't exist", Verdict.HALLUCINATED),
        ("SELEC 1", "1064 (42000): You have an error in your SQL syntax", Verdict.INVALID_ACTION),
        ("SELECT 1; SELECT 2", "1064 (42000): You have an error in your SQL syntax", Verdict.INVALID_ACTION),
        ("INSERT INTO `Some Things` VALUES ('a')", "1136 (21S01): Column count doesn't match", Verdict.INVALID_ACTION),
    ],
)
def test_errors_read_as_mysql_words_them(query, engine, statement, error, verdict):
    _, (result,) = play(query, op(statement), engine=lambda: engine)
    assert result.observation.text.startswith(error)
    assert (result.verdict, result.done) == (verdict, False)


def test_long_results_are_cut_at_800_characters(query, engine):
    cross = "SELECT * FROM `Some Things` a, `Some Things` b"
    _, (result,) = play(query, op(cross), engine=lambda: engine)
    assert len(result.observation.text) == 800 + len("[TRUNCATED]")
    assert result.observation.text.endswith("[TRUNCATED]")


def test_a_table_that_cannot_be_created_is_named():
    record = Record("dev-005", "other", "?", Table("t", ("", "b"), ()))
    with pytest.raises(TaskDataError, match=r"dev-005.*blank"):
        play(record)


def test_reset_starts_from_the_same_table_and_fork_is_independent(mutation, engine):
    async def run():
        environment = DatabaseEnvironment(lambda: engine, mutation, Settings())
        await environment.reset()
        assert (await environment.step(Action(op(UPDATE), ""))).reward == 1
        other = await environment.fork()
        if other is not None:
            undone = await other.step(Action(op("DELETE FROM `Some Things`"), ""))
            assert undone.reward == 0
            await other.close()
            assert (await environment.step(Action(op("SELECT 1"), ""))).reward == 1
        await environment.reset()
        counted = await environment.step(Action(op("SELECT COUNT(*) FROM `Some Things` WHERE Size = '99'"), ""))
        assert (counted.observation.text, counted.reward) == ("[(0,)]", 0)
        await environment.close()

    asyncio.run(run())
