"""Skills over lists: copying, finding, membership, picking, counting, ordering."""

from __future__ import annotations

from random import Random

from agentx.pretraining.exercise import Exercise
from agentx.pretraining.words import CATEGORIES, HOUSEHOLD, PLURALS, another, numbered, things


def prose(items: list[str]) -> str:
    """`a, b, and c`, the way text games list what is seen."""
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])}, and {items[-1]}"


def bullets(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def numbered_lines(items: list[str]) -> str:
    return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))


def show(rng: Random, items: list[str]) -> str:
    """The list in one of several layouts."""
    return rng.choice((", ".join(items), prose([f"a {item}" for item in items]), bullets(items), numbered_lines(items)))


def copy_list(rng: Random) -> list[Exercise]:
    items = things(rng, rng.randint(2, 9))
    flat = ", ".join(items)
    ask = rng.choice(("Repeat this list:", "Copy this:", "Write this again:", "Say exactly:"))
    return [Exercise(f"{ask} {flat}", flat)]


def copy_one(rng: Random) -> list[Exercise]:
    item = things(rng, 1)[0]
    ask = rng.choice(("Say {}.", "Write {} and nothing else.", "Repeat after me: {}.", "Answer with {}."))
    return [Exercise(ask.format(item), item)]


def relist(rng: Random) -> list[Exercise]:
    """The same items in another layout."""
    items = things(rng, rng.randint(2, 7))
    layout, answer = rng.choice(
        (
            ("as bullet points", bullets(items)),
            ("as a numbered list", numbered_lines(items)),
            ("on one line with commas", ", ".join(items)),
            ("one per line", "\n".join(items)),
        )
    )
    return [Exercise(f"Write these items {layout}: {prose(items)}.", answer)]


def membership(rng: Random) -> list[Exercise]:
    """Several yes/no questions about one list."""
    items = things(rng, rng.randint(2, 9))
    context = "List: " + show(rng, items)
    turns = []
    for turn in range(rng.randint(1, 4)):
        present = rng.random() < 0.5
        asked = rng.choice(items) if present else another(rng, items)
        question = rng.choice((f"Is {asked} in the list?", f"Does the list contain {asked}?", f"Can you see {asked}?"))
        question += rng.choice(("", " Answer Yes or No."))
        turns.append(Exercise(question, "Yes" if present else "No", "" if turn else context))
    return turns


def find_class(rng: Random) -> list[Exercise]:
    """Which item of the list is of a class, e.g. the mug among numbered things; `none` where there is none."""
    classes = rng.sample(HOUSEHOLD, rng.randint(3, 8))
    items = {name: numbered(rng, name) for name in classes}
    seen = prose([f"a {item}" for item in items.values()])
    place = numbered(rng, rng.choice(HOUSEHOLD))
    context = rng.choice((f"On the {place}, you see {seen}.", f"You see {seen}.", f"There is {seen} here."))
    turns = []
    for turn in range(rng.randint(1, 4)):
        present = rng.random() < 0.7
        wanted = rng.choice(classes) if present else rng.choice([name for name in HOUSEHOLD if name not in items])
        question = rng.choice((f"Which {wanted} do you see?", f"Find a {wanted}.", f"I look for a {wanted}."))
        answer = items[wanted] if present else "none"
        turns.append(Exercise(question, answer, "" if turn else context))
    return turns


def find_all(rng: Random) -> list[Exercise]:
    """All items of one class, in order."""
    wanted, *others = rng.sample(HOUSEHOLD, 4)
    items = list({numbered(rng, rng.choice([wanted, wanted, *others])): None for _ in range(rng.randint(3, 8))})
    found = [item for item in items if item.rpartition(" ")[0] == wanted]
    return [Exercise(f"List every {wanted} in: {', '.join(items)}", ", ".join(found) if found else "none")]


def pick_option(rng: Random) -> list[Exercise]:
    """The number of the option that equals what is wanted."""
    options = things(rng, rng.randint(2, 6))
    index = rng.randrange(len(options))
    verb = rng.choice(("", "go to ", "take ", "open "))
    lines = numbered_lines([f"{verb}{option}" for option in options])
    ask = rng.choice(
        (
            f"Which option says {verb}{options[index]}? Reply with its number.",
            f"I want to {verb or 'have '}{options[index]}. Which number is it?",
            f"I want to {verb or 'have '}{options[index]}. Which one is best? Answer with its number.",
        )
    )
    return [Exercise(ask, str(index + 1), "Options:\n" + lines)]


def read_option(rng: Random) -> list[Exercise]:
    options = things(rng, rng.randint(2, 6))
    index = rng.randrange(len(options))
    return [Exercise(f"What is option {index + 1}?", options[index], "Options:\n" + numbered_lines(options))]


def nth_item(rng: Random) -> list[Exercise]:
    items = things(rng, rng.randint(3, 7))
    place, index = rng.choice((("first", 0), ("second", 1), ("third", 2), ("last", -1)))
    return [Exercise(f"What is the {place} item?", items[index], "List: " + ", ".join(items))]


def next_item(rng: Random) -> list[Exercise]:
    """The item after a given one; with several questions about the same list."""
    items = things(rng, rng.randint(3, 9))
    turns = []
    for turn in range(rng.randint(1, 3)):
        index = rng.randrange(len(items) - 1)
        question = rng.choice((f"What comes after {items[index]}?", f"Which item follows {items[index]}?"))
        turns.append(Exercise(question, items[index + 1], "" if turn else "List: " + ", ".join(items)))
    return turns


def not_yet(rng: Random) -> list[Exercise]:
    """The first item of a list that is not among those done: what searching a room comes down to."""
    items = things(rng, rng.randint(3, 9))
    done = items[: rng.randint(0, len(items) - 1)]
    remaining = items[len(done)]
    rng.shuffle(done)
    context = f"To do: {', '.join(items)}.\nDone: {', '.join(done) if done else 'nothing'}."
    return [Exercise("What is the first thing not done?", remaining, context)]


def remaining_items(rng: Random) -> list[Exercise]:
    items = things(rng, rng.randint(3, 7))
    gone = rng.sample(items, rng.randint(1, len(items) - 1))
    left = [item for item in items if item not in gone]
    return [Exercise(f"Remove {prose(gone)} from this list: {', '.join(items)}", ", ".join(left))]


def count_items(rng: Random) -> list[Exercise]:
    items = things(rng, rng.randint(1, 9))
    return [Exercise(f"How many items are in this list? {', '.join(items)}", str(len(items)))]


def sort_words(rng: Random) -> list[Exercise]:
    pool = [word for words in CATEGORIES.values() for word in words if word.islower()]
    words = rng.sample(pool, rng.randint(2, 5))
    return [Exercise(f"Sort alphabetically: {', '.join(words)}", ", ".join(sorted(words)))]


def reverse_list(rng: Random) -> list[Exercise]:
    items = things(rng, rng.randint(2, 5))
    return [Exercise(f"Reverse the order: {', '.join(items)}", ", ".join(reversed(items)))]


def category(rng: Random) -> list[Exercise]:
    """Which of several words is a fruit, an animal …; the words and kinds are everyday knowledge."""
    kind = rng.choice(sorted(CATEGORIES))
    wanted = rng.choice(CATEGORIES[kind])
    others = [rng.choice(CATEGORIES[other]) for other in sorted(CATEGORIES) if other != kind]
    words = [wanted, *rng.sample(others, rng.randint(1, 3))]
    rng.shuffle(words)
    if rng.random() < 0.3:
        word = rng.choice(words)
        article = "an" if kind[0] in "aeiou" else "a"
        return [Exercise(f"Is {word} {article} {kind}?", "Yes" if word in CATEGORIES[kind] else "No")]
    return [Exercise(f"Which of these is one of the {PLURALS[kind]}? {', '.join(words)}", wanted)]
