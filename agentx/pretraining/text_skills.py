"""Skills over text: edits, formats, reading, planning in sub-steps, small dialogues."""

from __future__ import annotations

import json
from random import Random

from agentx.pretraining.exercise import Exercise
from agentx.pretraining.list_skills import numbered_lines, prose
from agentx.pretraining.words import (
    ADJECTIVES,
    CITIES,
    COLOURS,
    EVERYDAY,
    FIELDS,
    FIRST_NAMES,
    HOUSEHOLD,
    JOBS,
    LABELS,
    PLACES,
    RECEPTACLES,
    code,
    numbered,
    things,
)

VALUES = {"name": FIRST_NAMES, "owner": FIRST_NAMES, "city": CITIES, "colour": COLOURS, "item": EVERYDAY}


def record(rng: Random, count: int) -> dict[str, str]:
    """`count` fields with values."""
    fields = rng.sample(FIELDS, count)
    return {name: rng.choice(VALUES[name]) if name in VALUES else str(rng.randint(1, 99)) for name in fields}


def replace_word(rng: Random) -> list[Exercise]:
    words = rng.sample(EVERYDAY + tuple(ADJECTIVES) + HOUSEHOLD, rng.randint(3, 6))
    old, new = rng.choice(words), rng.choice(COLOURS)
    answer = " ".join(new if word == old else word for word in words)
    return [Exercise(f"Replace {old} with {new} in: {' '.join(words)}", answer)]


def change_case(rng: Random) -> list[Exercise]:
    name = rng.choice([*FIRST_NAMES, *CITIES, *LABELS])
    if rng.random() < 0.5:
        return [Exercise(f"Write {name} in capital letters.", name.upper())]
    return [Exercise(f"Write {name.upper()} in small letters.", name.lower())]


def spell(rng: Random) -> list[Exercise]:
    text = code(rng, rng.randint(3, 6))
    return [Exercise(f"Spell {text}.", " ".join(text))]


def join_words(rng: Random) -> list[Exercise]:
    words = rng.sample(EVERYDAY, rng.randint(2, 5))
    sign, name = rng.choice((("-", "hyphens"), ("_", "underscores"), ("/", "slashes"), ("|", "bars")))
    return [Exercise(f"Join these words with {name}: {' '.join(words)}", sign.join(words))]


def count_word(rng: Random) -> list[Exercise]:
    pool = rng.sample(EVERYDAY, 3)
    words = [rng.choice(pool) for _ in range(rng.randint(3, 8))]
    asked = rng.choice(pool)
    return [Exercise(f"How often does {asked} occur in: {' '.join(words)}", str(words.count(asked)))]


def key_values(rng: Random) -> list[Exercise]:
    """A sentence of facts put into a prescribed format."""
    facts = record(rng, rng.randint(2, 4))
    said = prose([f"{name} is {value}" for name, value in facts.items()])
    layout = rng.randrange(3)
    if layout == 0:
        lines = "\n".join(f"{name.upper()}: {value}" for name, value in facts.items())
        return [Exercise(f"Write as KEY: value lines. {said}", lines)]
    if layout == 1:
        return [Exercise(f"Write as JSON. {said}", json.dumps(facts))]
    return [Exercise(f"Write as key=value. {said}", "; ".join(f"{k}={v}" for k, v in facts.items()))]


def look_up_field(rng: Random) -> list[Exercise]:
    facts = record(rng, rng.randint(2, 5))
    context = "\n".join(f"{name}: {value}" for name, value in facts.items())
    turns = []
    for turn in range(rng.randint(1, 3)):
        asked = rng.choice(list(facts))
        turns.append(Exercise(f"What is the {asked}?", facts[asked], "" if turn else context))
    return turns


def fill_template(rng: Random) -> list[Exercise]:
    thing, place = things(rng, 1)[0], numbered(rng, rng.choice(RECEPTACLES))
    pattern = rng.choice(("take X from Y", "put X in Y", "X is on Y", "look for X at Y", "go from Y to X"))
    answer = " ".join({"X": thing, "Y": place}.get(word, word) for word in pattern.split())
    return [Exercise(f'Use X = {thing} and Y = {place} in "{pattern}".', answer)]


def two_lines(rng: Random) -> list[Exercise]:
    """A reply of two labelled lines, labels given by the user."""
    first, second = rng.sample(LABELS, 2)
    if {first, second} == {"Thought", "Action"}:
        second = "Answer"
    a, b = things(rng, 1)[0], things(rng, 1)[0]
    said = f"The {first.lower()} is {a} and the {second.lower()} is {b}."
    if rng.random() < 0.6:
        first, second = first.upper(), second.upper()
    layout = rng.choice((f"two lines, {first}: and {second}:.", f"these two lines:\n{first}: <a>\n{second}: <b>\n"))
    question = f"{said} Answer with {layout}".strip()
    return [Exercise(question, f"{first}: {a}\n{second}: {b}")]


def where_is(rng: Random) -> list[Exercise]:
    """Reading: who or what is where, several questions about one paragraph."""
    people = rng.random() < 0.4
    if people:
        subjects = rng.sample(FIRST_NAMES, rng.randint(2, 4))
        places = [f"in the {rng.choice(PLACES)}" for _ in subjects]
    else:
        subjects = [f"the {item}" for item in {numbered(rng, rng.choice(HOUSEHOLD)): None for _ in range(4)}]
        places = [f"on the {numbered(rng, rng.choice(RECEPTACLES))}" for _ in subjects]
    sentences = [f"{s[0].upper()}{s[1:]} is {p}." for s, p in zip(subjects, places, strict=True)]
    turns = []
    for turn in range(rng.randint(1, 3)):
        index = rng.randrange(len(subjects))
        answer = f"{subjects[index][0].upper()}{subjects[index][1:]} is {places[index]}."
        turns.append(Exercise(f"Where is {subjects[index]}?", answer, "" if turn else " ".join(sentences)))
    return turns


def who_has(rng: Random) -> list[Exercise]:
    people = rng.sample(FIRST_NAMES, rng.randint(2, 4))
    items = things(rng, len(people))
    context = " ".join(f"{person} has {item}." for person, item in zip(people, items, strict=True))
    index = rng.randrange(len(people))
    if rng.random() < 0.5:
        return [Exercise(f"Who has {items[index]}?", people[index], context)]
    return [Exercise(f"What does {people[index]} have?", items[index], context)]


def moved(rng: Random) -> list[Exercise]:
    """The last place of a thing that is moved about."""
    thing = numbered(rng, rng.choice(HOUSEHOLD))
    places = [numbered(rng, rng.choice(RECEPTACLES)) for _ in range(rng.randint(2, 4))]
    moves = [f"You move the {thing} to the {place}." for place in places]
    return [Exercise(f"Where is the {thing} now?", f"on the {places[-1]}", " ".join(moves))]


def sub_steps(rng: Random) -> list[Exercise]:
    """An errand told in one sentence, answered by a numbered list of one to three steps."""
    thing, place = rng.choice(HOUSEHOLD), rng.choice(RECEPTACLES)
    name = rng.choice(FIRST_NAMES)
    find, colour = f"find the {thing}", rng.choice(COLOURS)
    errands: list[tuple[str, list[str]]] = [
        (f"call {name}", [f"call {name}"]),
        (f"bring the {thing} to {name}", [find, f"give the {thing} to {name}"]),
        (f"wash the {thing} and put it in the {place}", [find, f"wash the {thing}", f"put the {thing} in the {place}"]),
        (f"buy a {thing} and send it to {name}", [find, f"buy the {thing}", f"send the {thing} to {name}"]),
        (f"read the list and tell {name}", ["read the list", f"tell {name}"]),
        (f"paint the {thing} {colour}", [find, f"get {colour} paint", f"paint the {thing}"]),
    ]
    errand, steps = rng.choice(errands)
    ask = rng.choice(
        (
            "Split this task into at most 3 subtasks, in order: {}. Answer with numbered lines only.",
            "Task: {}\nPlan in numbered lines.",
            "List the steps to {}.",
        )
    )
    return [Exercise(ask.format(errand), numbered_lines(steps))]


def is_done(rng: Random) -> list[Exercise]:
    """Has what was asked happened, according to a short log?"""
    classes = rng.sample(HOUSEHOLD, 3)
    verbs = ("take", "clean", "open")
    log = [f"You {rng.choice(verbs)} the {numbered(rng, name)}." for name in classes]
    other = f"You {rng.choice(verbs)} the {numbered(rng, rng.choice(classes))}."
    asked = rng.choice(log) if rng.random() < 0.5 else other
    goal = asked.removeprefix("You ").removesuffix(".")
    ask = rng.choice((f"The task was: {goal}. Is it done?", f"Task: {goal}\nWas the task done? Answer Yes or No."))
    return [Exercise(ask, "Yes" if asked in log else "No", rng.choice(("Log: ", "")) + " ".join(log))]


def remember_name(rng: Random) -> list[Exercise]:
    """A small dialogue in which something said at the start is asked for later."""
    name, city, job = rng.choice(FIRST_NAMES), rng.choice(CITIES), rng.choice(JOBS)
    turns = [Exercise(f"Hello, I am {name} from {city}.", f"Hello {name}. How is {city}?")]
    if rng.random() < 0.6:
        turns.append(Exercise(f"Fine. I work as a {job}.", f"A {job}, good to know."))
    if rng.random() < 0.6:
        turns.append(Exercise("What is my name?", f"Your name is {name}."))
    if rng.random() < 0.4:
        turns.append(Exercise("Where am I from?", f"You are from {city}."))
    return turns


def small_talk(rng: Random) -> list[Exercise]:
    pairs = [
        ("Hello!", "Hello! How can I help you?"),
        ("Thank you.", "You are welcome."),
        ("How are you?", "I am well, thank you."),
        ("Good morning.", "Good morning! What can I do for you?"),
        ("Goodbye.", "Goodbye!"),
        ("Are you ready?", "Yes, I am ready."),
        ("Can you help me?", "Yes. What do you need?"),
    ]
    thing = rng.choice(EVERYDAY)
    adjective = rng.choice(ADJECTIVES)
    turns = [
        Exercise(f"I have a {adjective} {thing}.", f"What do you do with the {adjective} {thing}?"),
        Exercise(f"Tell me that the {thing} is {adjective}.", f"The {thing} is {adjective}."),
    ]
    greeting, thanks = rng.sample(pairs, 2)
    return [Exercise(*greeting), rng.choice(turns), Exercise(*thanks)]
