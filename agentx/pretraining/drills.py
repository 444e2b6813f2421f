"""Short documents of random names in which almost every later token can be copied from an earlier one.

Exact copying of object, number and receptacle names is what a small model learns last and an agent needs first;
dense repetition over the whole vocabulary early in training brings it forward. The texts tell nothing about
any household: names are drawn independently.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from agentx.pretraining.list_skills import prose
from agentx.pretraining.words import HOUSEHOLD, OBJECTS, RECEPTACLES, made_up_word, numbered, things


def names(rng: Random, count: int) -> list[str]:
    """`count` different names; in every third list they are made up, of several tokens that never met before."""
    if rng.random() < 2 / 3:
        return things(rng, count)
    made: dict[str, None] = {}
    while len(made) < count:
        word = made_up_word(rng)
        made[rng.choice((word, word.capitalize(), f"{word}_{made_up_word(rng)}", f"{word}.{word[:3]}"))] = None
    return list(made)


def repeated_list(rng: Random) -> str:
    """One list written again and again, in the same or reshuffled order."""
    items = names(rng, rng.randint(2, 8))
    lines = []
    for _ in range(rng.randint(2, 5)):
        lines.append(", ".join(items))
        if rng.random() < 0.2:
            rng.shuffle(items)
    return "\n".join(lines)


def look_ups(rng: Random) -> str:
    """Pairs of names, then the same pairs again in another order: the left name decides the right one."""
    left = names(rng, rng.randint(2, 7))
    right = [rng.choice(names(rng, 2)) for _ in left]
    sign = rng.choice((" is on ", ": ", " -> ", " = "))
    pairs = [f"{a}{sign}{b}" for a, b in zip(left, right, strict=True)]
    lines = list(pairs)
    for _ in range(rng.randint(1, 2)):
        rng.shuffle(pairs)
        lines += pairs
    return "\n".join(lines)


def class_look_ups(rng: Random) -> str:
    """Names with numbers, then questions by class: `mug? mug 3`, `none` for what is not there."""
    classes = rng.sample(HOUSEHOLD, rng.randint(2, 9))
    items = {name: numbered(rng, name) for name in classes}
    lines = [f"On the {numbered(rng, rng.choice(RECEPTACLES))}, you see {prose([f'a {i}' for i in items.values()])}."]
    for _ in range(rng.randint(2, 6)):
        wanted = rng.choice(classes) if rng.random() < 0.65 else rng.choice(HOUSEHOLD)
        lines.append(f"I look for a {wanted}: {items.get(wanted, 'none')}")
    return "\n".join(lines)


def echoed_commands(rng: Random) -> str:
    """Commands over drawn names with the answers a text game would give."""
    places = list({numbered(rng, rng.choice(RECEPTACLES)): None for _ in range(rng.randint(2, 6))})
    lines = [f"You see {prose([f'a {place}' for place in places])}."]
    for place in places[: rng.randint(1, 4)]:
        items = list({numbered(rng, rng.choice(OBJECTS)): None for _ in range(rng.randint(1, 6))})
        lines.append(f"> go to {place}")
        lines.append(f"You arrive at {place}. On the {place}, you see {prose([f'a {item}' for item in items])}.")
        if rng.random() < 0.7:
            item = rng.choice(items)
            lines += [f"> take {item} from {place}", f"You pick up the {item} from the {place}."]
    return "\n".join(lines)


def walk_through(rng: Random) -> str:
    """The entries of a list visited one after the other."""
    items = names(rng, rng.randint(3, 10))
    lines = [", ".join(items)]
    lines += [f"{item}, then {after}" for item, after in pairwise(items)]
    return "\n".join(lines)


DRILLS = (repeated_list, look_ups, class_look_ups, echoed_commands, walk_through)


def drill(rng: Random) -> str:
    return rng.choice(DRILLS)(rng)
