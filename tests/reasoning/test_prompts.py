"""The wording: short enough for a small model, hashed for provenance, deaf to what is filled in."""

import yaml

from agentx.reasoning import prompts
from agentx.trajectory import Outcome


def test_hostile_values_are_not_templates() -> None:
    filled = prompts.text("judge", "task", task="{subtask} {0} {task.__class__} %s")
    assert filled == "Task: {subtask} {0} {task.__class__} %s"


def test_judge_prompts_are_short() -> None:
    judge = yaml.safe_load(prompts._source())["judge"]
    for question in ("subtask_done", "task_done", "pick", "score"):
        assert len(f"{judge['preface']} {judge[question]}".split()) <= 30


def test_every_end_of_a_path_has_words() -> None:
    for outcome in set(Outcome) - {Outcome.INFRASTRUCTURE_ERROR}:
        assert prompts.text("ends", outcome)


def test_observations_on_one_line() -> None:
    assert prompts.one_line("a\n  b\tc", 10) == "a b c"
    assert prompts.one_line("abcdef ghij", 8) == "abcdef…"
    assert len(prompts.one_line("x" * 1000, 50)) == 50


def test_the_fingerprint_is_stable() -> None:
    assert prompts.fingerprint() == prompts.fingerprint() != ""
