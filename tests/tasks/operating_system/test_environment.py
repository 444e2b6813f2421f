import pytest

from agentx.tasks.environment import Action, Environment, TaskDataError
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.problems import Problem, Script
from agentx.tasks.operating_system.settings import Settings
from agentx.trajectory import Outcome, Verdict

pytestmark = pytest.mark.sandbox


def bash(script):
    return f"bash\n```bash\n{script}\n```"


def played(run, problem, *actions, **settings):
    async def play():
        environment = OperatingSystemEnvironment(problem, Settings(silence_seconds=1.0, **settings))
        assert isinstance(environment, Environment)
        try:
            first = await environment.reset()
            return [first, *[await environment.step(Action(action, action or "")) for action in actions]]
        finally:
            await environment.close()

    return run(play())


def test_match_is_equality_after_strip_and_a_pattern_is_a_pattern(run):
    plain = Problem("p", "k", "What?", match="42")
    first, right = played(run, plain, "answer( 42 )")
    assert first.text == "TASK: What?"
    assert (right.reward, right.outcome, right.executed) == (1.0, Outcome.COMPLETED, "answer(42)")
    assert played(run, plain, "answer(42.0)")[-1].reward == 0.0
    assert played(run, Problem("p", "k", "d", pattern="4[0-9]$"), "answer(47)")[-1].reward == 1.0


def test_checks_get_the_answer_and_what_came_before(run):
    compare = Script("import sys\nsys.exit(sys.argv[1:] != ['7', '7\\n', 'seen 7\\n'])", "python")
    checks = (None, Script('echo "seen $1"'), compare)
    problem = Problem("p", "k", "d", checks=checks, example=Script("echo 7"))
    assert played(run, problem, "answer(7)")[-1].reward == 1.0
    assert played(run, problem, "answer(8)")[-1].reward == 0.0
    assert played(run, problem, "finish")[-1].reward == 0.0


def test_set_up_start_and_state(run):
    problem = Problem(
        "p", "k", "d", (Script("echo one > /root/a"),), "export HELLO=there", checks=(Script("[ -e /b ]"),)
    )
    _, seen, done = played(run, problem, bash("cat /root/a; echo $HELLO; touch /b"), "finish")
    assert seen.observation.text == "OUTPUT:\none\nthere"
    assert done.reward == 1.0


def test_a_broken_set_up_is_not_the_agents_fault(run):
    with pytest.raises(TaskDataError, match=r"sample p: its set-up ended with status 3.*oh no"):
        played(run, Problem("p", "k", "d", (Script("echo oh no >&2; exit 3"),), match="x"))


def test_scripts_have_a_time_limit(run):
    with pytest.raises(TaskDataError, match=r"sample p: its set-up took more than 0\.5 s"):
        played(run, Problem("p", "k", "d", (Script("sleep 60"),), match="x"), script_seconds=0.5)
    slow = Problem("p", "k", "d", checks=(Script("sleep 60"),))
    assert played(run, slow, "finish", script_seconds=0.5)[-1].reward == 0.0


def test_what_is_no_action_ends_the_episode(run):
    for action in (None, "ls -l"):
        result = played(run, Problem("p", "k", "d", match="x"), action)[-1]
        assert (result.done, result.outcome, result.verdict) == (True, Outcome.INVALID_ACTION, Verdict.INVALID_FORMAT)


def test_rounds_are_limited_and_output_is_cut(run):
    problem = Problem("p", "k", "d", match="x")
    results = played(run, problem, bash("seq 1000"), bash("true"), max_rounds=2)
    text = results[1].observation.text.removeprefix("OUTPUT:\n")
    assert text.endswith("\n[truncated because the output is too long]")
    assert len(text.partition("\n[truncated")[0]) == 780
    assert results[2].outcome is Outcome.TASK_LIMIT and results[2].observation.text == "OUTPUT:\n(nothing)"


def test_a_silent_command_is_told_and_counted(run):
    result = played(run, Problem("p", "k", "d", match="x"), bash("echo a; sleep 9"))[-1]
    assert result.observation.text == "OUTPUT:\na\n[stopped: no output for 1 s]"
    assert result.notices == ("command_silent",)


def test_reset_starts_from_the_same_state_again(run):
    async def play():
        environment = OperatingSystemEnvironment(Problem("p", "k", "d", match="x"), Settings())
        try:
            for _ in range(2):
                await environment.reset()
                assert (await environment.step(Action(bash("ls /root; touch /root/x"), ""))).observation.text.endswith(
                    "(nothing)"
                )
            await environment.step(Action("finish", ""))
            with pytest.raises(RuntimeError):
                await environment.step(Action("finish", ""))
        finally:
            await environment.close()

    run(play())
