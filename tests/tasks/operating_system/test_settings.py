import pytest

from agentx.errors import ConfigError
from agentx.tasks.environment import Task, TaskDataError
from agentx.tasks.operating_system import task as module
from agentx.tasks.operating_system.families import FAMILIES
from agentx.tasks.operating_system.settings import Settings
from agentx.trajectory import Trajectory


class Paths:
    agentbench = None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"split": "dev"}, "task.split=dev"),
        ({"samples": None}, "task.samples=null"),
        ({"samples": 0}, "task.samples=0"),
        ({"max_rounds": 0}, "task.max_rounds=0"),
        ({"memory_mb": 1}, "task.memory_mb=1"),
        ({"processes": 2}, "task.processes=2"),
        ({"silence_seconds": 0.0}, "task.silence_seconds=0"),
        ({"root_tree": "debian", "sandbox": "docker"}, "task.root_tree=debian: is for task.sandbox=namespaces"),
        ({"image": "debian:12"}, "task.image=debian:12: is for task.sandbox=docker"),
        ({"multiline_actions": False}, "task.multiline_actions=false"),
    ],
)
def test_bad_options_are_named(values, named):
    with pytest.raises(ConfigError, match=named):
        Settings(**values)


@pytest.mark.sandbox
def test_the_task_says_what_it_is():
    task = module.make_task(Settings(samples=5), Paths())
    assert isinstance(task, Task)
    assert "generated" in task.label and "OS (" not in task.label
    assert len({sample.id for sample in task.samples}) == 5
    assert [sample.kind for sample in task.samples] == list(FAMILIES)[:5]
    first = task.samples[0]
    scores = task.aggregate([Trajectory(first.id, reward=1.0), Trajectory(task.samples[1].id, reward=0.0)])
    assert scores["success_rate"] == 0.5 and scores[f"success_rate/{first.kind}"] == 1.0
    with pytest.raises(TaskDataError, match=r"paths\.agentbench"):
        module.make_task(Settings(source="official", split="dev"), Paths())
