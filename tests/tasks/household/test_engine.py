from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.engine import NOTHING_HAPPENS, Engine


def choose(rng: random.Random, admissible: list[str] | tuple[str, ...]) -> str:
    """Mostly something other than walking about, now and then something impossible."""
    if rng.random() < 0.05:
        return rng.choice(["dance", "", "take the moon", f" {rng.choice(admissible)} "])
    acts = [command for command in admissible if not command.startswith("go to ")]
    return rng.choice(acts if rng.random() < 0.6 else admissible)


def transcript(engine: Engine, seed: int, steps: int) -> list[str]:
    rng = random.Random(seed)
    state = engine.reset()
    lines = [state.feedback]
    for _ in range(steps):
        command = choose(rng, state.admissible)
        state = engine.step(command)
        lines += [command, state.feedback, *state.admissible, str(state.won)]
    return lines


def test_it_answers_as_the_stock_player_over_a_thousand_random_steps_on_twenty_games(make_game, stock_player):
    steps = wins = refused = 0
    kinds = set()
    for seed in range(20):
        big = seed % 10 == 9
        game = make_game(seed, (10, 12) if big else (4, 6), 12 if big else 6)
        stock_player.load(game)
        stock = stock_player.reset()
        engine = Engine(game)
        ours = engine.reset()
        rng = random.Random(seed)
        plan = game["walkthrough"] if seed % 3 == 0 else []
        for step in range(50):
            assert ours.feedback == stock.feedback
            assert list(ours.admissible) == stock.admissible_commands
            assert ours.won == stock.won
            command = plan[step] if step < len(plan) else choose(rng, ours.admissible)
            stock, _, _ = stock_player.step(command)
            ours = engine.step(command)
            steps += 1
            wins += ours.won
            refused += ours.feedback == NOTHING_HAPPENS
            kinds.add(command.split(" ")[0])
        engine.close()
    assert steps == 1000
    assert wins and refused
    assert kinds >= {"go", "open", "close", "take", "move", "examine", "look", "inventory", "help"}
    assert kinds & {"heat", "cool", "clean"} and "use" in kinds


def test_it_answers_as_the_stock_player_on_a_classic_game(make_game, stock_player, classic_grammar):
    game = classic_grammar(make_game(0))
    stock_player.load(game)
    stock = stock_player.reset()
    engine = Engine(game)
    ours = engine.reset()
    for command in [*game["walkthrough"], "look", "inventory"]:
        assert ours.feedback == stock.feedback
        assert list(ours.admissible) == stock.admissible_commands
        command = command.replace("move", "put").replace(" to ", " in/on ") if "move" in command else command
        stock, _, _ = stock_player.step(command)
        ours = engine.step(command)
    assert ours.won and stock.won
    engine.close()


def test_an_impossible_command_changes_nothing(make_game):
    engine = Engine(make_game(1))
    before = engine.reset()
    after = engine.step("open sesame")
    assert after.feedback == NOTHING_HAPPENS and not after.valid
    assert after.admissible == before.admissible
    engine.close()


def test_reset_starts_again_from_the_same_state(make_game):
    game = make_game(2)
    engine = Engine(game)
    first = engine.reset()
    for command in game["walkthrough"]:
        last = engine.step(command)
    assert last.won
    assert engine.reset() == first
    for command in game["walkthrough"]:
        again = engine.step(command)
    assert again == last
    engine.close()


def test_the_walkthrough_wins_with_its_last_command_and_not_before(make_game):
    for seed in range(6):
        game = make_game(seed)
        engine = Engine(game)
        assert not engine.reset().won
        won = [engine.step(command).won for command in game["walkthrough"]]
        assert won == [False] * (len(won) - 1) + [True]
        engine.close()


def test_a_fork_is_independent_of_its_origin(make_game):
    game = make_game(3)
    engine = Engine(game)
    engine.reset()
    half = len(game["walkthrough"]) // 2
    for command in game["walkthrough"][:half]:
        state = engine.step(command)
    other = engine.fork()
    for command in game["walkthrough"][half:]:
        finished = other.step(command)
    assert finished.won
    assert engine.step("dance").admissible == state.admissible
    engine.close()
    assert other.step("look").won
    assert not other.reset().won
    other.close()


def test_a_fork_continues_exactly_as_its_origin_would(make_game):
    engine = Engine(make_game(4))
    rng = random.Random(4)
    state = engine.reset()
    for _ in range(15):
        state = engine.step(choose(rng, state.admissible))
    other = engine.fork()
    for _ in range(30):
        command = choose(rng, state.admissible)
        state = engine.step(command)
        assert other.step(command) == state
    engine.close()
    other.close()


def test_engines_used_in_turn_do_not_disturb_each_other(make_game):
    games = [make_game(seed) for seed in range(4)]
    alone = []
    for seed, game in enumerate(games):
        engine = Engine(game)
        alone.append(transcript(engine, seed, 20))
        engine.close()
    engines = [Engine(game) for game in games]
    random_of = [random.Random(seed) for seed in range(4)]
    states = [engine.reset() for engine in engines]
    together = [[state.feedback] for state in states]
    for _ in range(20):
        for index, engine in enumerate(engines):
            command = choose(random_of[index], states[index].admissible)
            states[index] = engine.step(command)
            state = states[index]
            together[index] += [command, state.feedback, *state.admissible, str(state.won)]
    assert together == alone
    for engine in engines:
        engine.close()


def test_threads_play_as_one_after_the_other(make_game):
    games = [make_game(seed) for seed in range(4)]
    results: dict[int, list[str]] = {}

    def play(index: int, into: dict[int, list[str]]) -> None:
        engine = Engine(games[index])
        into[index] = transcript(engine, index, 25)
        engine.close()

    expected: dict[int, list[str]] = {}
    for index in range(4):
        play(index, expected)
    threads = [threading.Thread(target=play, args=(index, results)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert results == expected


PLAY = """
import json, random, sys
from agentx.tasks.household.engine import Engine
lines, engines = [], []
for path in sys.argv[1:]:
    engine = Engine(path)
    engines.append(engine)
    state = engine.reset()
    rng = random.Random(0)
    for _ in range(20):
        lines.append(state.feedback)
        lines.extend(state.admissible)
        state = engine.step(rng.choice(state.admissible))
print(json.dumps(lines))
"""


def test_the_same_in_every_process_and_engines_left_open_do_no_harm(make_game, tmp_path):
    paths = []
    for seed in range(2):
        path = tmp_path / f"{seed}.tw-pddl"
        path.write_text(json.dumps(make_game(seed)))
        paths.append(str(path))
    outputs = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PLAY, *paths],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[3]), "HOME": str(tmp_path)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert not (tmp_path / ".cache" / "alfworld").exists()


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to read the process's memory")
def test_memory_does_not_grow_with_episodes(make_game):
    # More games than the engine keeps translated, so that every episode loads one anew.
    games = [make_game(seed, (4, 6), 5) for seed in range(36)]

    def episode(number: int) -> None:
        engine = Engine(games[number % len(games)])
        transcript(engine, number, 5)
        engine.close()

    for number in range(40):
        episode(number)
    gc.collect()
    before = resident_megabytes()
    for number in range(40, 80):
        episode(number)
    gc.collect()
    # The stock player leaks about 2 MB a load, which would be 80 MB here.
    assert resident_megabytes() - before < 6


def test_loading_leaves_arguments_and_standard_output_alone(make_game, capsys):
    arguments, output = list(sys.argv), sys.stdout
    Engine(make_game(77)).close()
    assert sys.argv == arguments and sys.stdout is output
    with pytest.raises(TaskDataError):
        Engine({**make_game(77), "pddl_problem": "(define (problem broken"})
    assert sys.argv == arguments and sys.stdout is output and gc.isenabled()
    assert capsys.readouterr().out == ""


def test_a_closed_engine_says_so(make_game):
    engine = Engine(make_game(0))
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.reset()


def test_broken_games_are_refused_with_a_reason(make_game, classic_grammar, tmp_path):
    game = make_game(0)
    path = tmp_path / "game.tw-pddl"
    with pytest.raises(TaskDataError, match="No such file"):
        Engine(path)
    path.write_text("{not json")
    with pytest.raises(TaskDataError, match="not valid JSON"):
        Engine(path)
    path.write_text("[1]")
    with pytest.raises(TaskDataError, match="expected a JSON object"):
        Engine(path)
    with pytest.raises(TaskDataError, match="'grammar'"):
        Engine({key: value for key, value in game.items() if key != "grammar"})
    with pytest.raises(TaskDataError, match="PDDL"):
        Engine({**game, "pddl_problem": "nonsense"})
    with pytest.raises(TaskDataError, match="grammar"):
        Engine({**game, "grammar": "grammar :: nonsense"})
    mixed = Engine({**game, "grammar": classic_grammar(game)["grammar"]})
    with pytest.raises(TaskDataError, match="help is not in the grammar"):
        mixed.reset()
    mixed.close()
