"""AgentBench's dev problems with scripts written here after the description of those of its checkout."""

import asyncio
import json
import shutil

import pytest

from agentx.tasks.environment import Action, TaskDataError
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.official import read_problems
from agentx.tasks.operating_system.problems import passes
from agentx.tasks.operating_system.settings import Settings

SCRIPTS = {
    "check/integer-match.py": "import sys\nsys.exit(int(sys.argv[1]) != int(sys.argv[2]))\n",
    "check/string-match.py": "import sys\na, b = (t.strip() for t in sys.argv[1:3])\nsys.exit(a != b)\n",
    "check/size-match.py": (
        "import re, sys\n"
        "def size(t):\n"
        "    n, u = re.fullmatch(r'(.+?) *([KMGTP]?)B?', t.strip().upper()).groups()\n"
        "    return int(n) * 1024 ** ' KMGTP'.index(u or ' ')\n"
        "sys.exit(size(sys.argv[1]) != size(sys.argv[2]))\n"
    ),
    "check/0.sh": (
        "set -f\n"
        'for pair in "1+1=2" "2 * (9 / 3)=6" "7/2=3.5" "(1+2)*(3+4)=21" "10-4-3=3"; do\n'
        "  got=$(calc ${pair%=*}) || exit 1\n"
        '  python3 -c "import sys; sys.exit(abs(float(sys.argv[1]) - float(sys.argv[2])) > 1e-5)" "$got" "${pair#*=}"'
        " || exit 1\n"
        "done\n"
    ),
    "example/0.sh": (
        "printf '#!/usr/bin/python3\\nimport sys\\nprint(eval(\" \".join(sys.argv[1:])))\\n' > /usr/local/bin/calc\n"
        "chmod +x /usr/local/bin/calc\n"
    ),
    "init/stock-log.sh": (
        "for i in $(seq 401); do\n"
        "  n=Alice; [ $((RANDOM % 2)) = 0 ] && n=Bob\n  k=Purchase; [ $((RANDOM % 2)) = 0 ] && k=Sell\n"
        '  echo "$n | $k | $((RANDOM % 100)) | $((RANDOM % 1000))"\ndone > /usr/stock.log\n'
    ),
}
INTERVAL = (
    "sleep 2; a=$(stat -c %s /root/log); sleep 6.1; b=$(stat -c %s /root/log); "
    "n=$(((b - a) / 7)); echo $(((6 + n / 2) / n))"
)
NEWEST = "touch /tmp/now; sleep 2.5; find /root -type f -newer /tmp/now -printf '%f\\n'"
BY_HAND = {0: INTERVAL, 4: INTERVAL, 1: NEWEST, 2: NEWEST, 24: "cd /home/jack; chmod 777 test; bash ./test"}
UNSOLVABLE = {8}
"""the expected size 4.0K is not an integer, which the check compares"""


@pytest.fixture
def checkout(tmp_path, dev_samples):
    folder = tmp_path / "os_interaction"
    (folder / "data").mkdir(parents=True)
    shutil.copy(dev_samples, folder / "data" / "dev.json")
    for name, text in SCRIPTS.items():
        path = folder / "scripts" / "dev" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_reads_all_dev_problems(checkout):
    problems = read_problems(checkout, "dev")
    assert len(problems) == 26
    assert sum(problem.match is not None for problem in problems) == 5
    assert all((problem.match is None) == bool(problem.checks) for problem in problems)
    assert problems[10].init == ()  # its `create` is a list
    assert problems[25].init[0].code.startswith("for i")


def test_missing_data_say_which(checkout, tmp_path):
    with pytest.raises(TaskDataError, match=r"paths\.agentbench"):
        read_problems(None, "dev")
    (checkout / "os_interaction/scripts/dev/check/integer-match.py").unlink()
    with pytest.raises(TaskDataError, match=r"dev-006.*integer-match"):
        read_problems(checkout, "dev")
    with pytest.raises(TaskDataError, match="folders 1 to 7"):
        read_problems(checkout, "standard")


@pytest.mark.sandbox
def test_reference_solutions_pass_and_nothing_else_does(checkout, run):
    problems = read_problems(checkout, "dev")
    records = json.loads((checkout / "os_interaction/data/dev.json").read_text())
    gate = asyncio.Semaphore(6)

    async def play(index):
        problem = problems[index]
        example = records[index]["evaluation"].get("example")
        code = BY_HAND.get(index) or (problem.example.code if problem.example else SCRIPTS["example/0.sh"])
        if index not in BY_HAND and problem.example is None:
            assert example == {"file": "example/0.sh"}
        async with gate:
            environment = OperatingSystemEnvironment(problem, Settings(silence_seconds=12))
            try:
                await environment.reset()
                for wrong in ("", "wrong", "-77"):
                    assert not await passes(problem, wrong, environment.sandbox, 20), (index, wrong)
                result = await environment.step(Action(f"bash\n```bash\n(\n{code}\n) 2>/dev/null\n```", ""))
                shown = result.observation.text.removeprefix("OUTPUT:\n")
                ending = "finish" if problem.checks and problem.example is None else f"answer({shown})"
                return (await environment.step(Action(ending, ""))).reward
            finally:
                await environment.close()

    async def all_of_them():
        return await asyncio.gather(*(play(index) for index in range(26)))

    rewards = run(all_of_them())
    assert {index for index, reward in enumerate(rewards) if reward == 0.0} == UNSOLVABLE
