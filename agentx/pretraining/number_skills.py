"""Skills with numbers."""

from __future__ import annotations

from random import Random

from agentx.pretraining.exercise import Exercise
from agentx.pretraining.words import EVERYDAY, FIRST_NAMES, NUMBER_WORDS


def arithmetic(rng: Random) -> list[Exercise]:
    turns = []
    for _ in range(rng.randint(1, 3)):
        sign = rng.choice("+-*")
        highest = 10 if sign == "*" else rng.choice((10, 10, 20))
        left, right = rng.randint(0, highest), rng.randint(0, highest)
        if sign == "-" and right > left:
            left, right = right, left
        result = {"+": left + right, "-": left - right, "*": left * right}[sign]
        question = rng.choice(("What is {}?", "Compute {}.", "{} ="))
        turns.append(Exercise(question.format(f"{left} {sign} {right}"), str(result)))
    return turns


def compare(rng: Random) -> list[Exercise]:
    left, right = rng.sample(range(100), 2)
    if rng.random() < 0.5:
        return [Exercise(f"Which is larger, {left} or {right}?", str(max(left, right)))]
    return [Exercise(f"Is {left} less than {right}?", "Yes" if left < right else "No")]


def sort_numbers(rng: Random) -> list[Exercise]:
    numbers = rng.sample(range(1, 60), rng.randint(2, 5))
    upwards = rng.random() < 0.6
    order = "smallest to largest" if upwards else "largest to smallest"
    answer = ", ".join(map(str, sorted(numbers, reverse=not upwards)))
    return [Exercise(f"Sort from {order}: {', '.join(map(str, numbers))}", answer)]


def sequence(rng: Random) -> list[Exercise]:
    start, step = rng.randint(1, 20), rng.choice((1, 1, 2, 5, 10))
    shown = [start + step * i for i in range(rng.randint(3, 5))]
    return [Exercise(f"What number comes next? {', '.join(map(str, shown))}", str(shown[-1] + step))]


def word_problem(rng: Random) -> list[Exercise]:
    name, other = rng.sample(FIRST_NAMES, 2)
    thing = rng.choice(EVERYDAY)
    have, change = rng.randint(2, 12), rng.randint(1, 8)
    if rng.random() < 0.5:
        change = min(change, have)
        text, result = f"{name} has {have} of {thing} and gives {change} to {other}.", have - change
    else:
        text, result = f"{name} has {have} of {thing} and gets {change} from {other}.", have + change
    return [Exercise(f"How many does {name} have now?", f"{name} has {result}.", text)]


def number_words(rng: Random) -> list[Exercise]:
    number = rng.randrange(len(NUMBER_WORDS))
    if rng.random() < 0.5:
        return [Exercise(f"Write {number} as a word.", NUMBER_WORDS[number])]
    return [Exercise(f"Write {NUMBER_WORDS[number]} as a number.", str(number))]
