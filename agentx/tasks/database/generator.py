"""Generated samples: a table of some subject, a question about it or a change to it, and the statement that does it.

Labels and hashes are computed here from the rows, not by an engine, so that every engine is held to the same truth.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from agentx.tasks.database.settings import KINDS
from agentx.tasks.database.subjects import Split, Subject, choose_subject
from agentx.tasks.database.tables import Record, Row, Table, digest_rows

_FUNCTIONS = {
    "SUM": (
        "What is the sum of {column} over all {noun} whose {word} is {value}?",
        "Add up {column} where {word} is {value}.",
    ),
    "MAX": (
        "What is the highest {column} of the {noun} whose {word} is {value}?",
        "Give the maximum of {column} where {word} is {value}.",
    ),
    "MIN": (
        "What is the lowest {column} of the {noun} whose {word} is {value}?",
        "Give the minimum of {column} where {word} is {value}.",
    ),
    "AVG": (
        "What is the average {column} of the {noun} whose {word} is {value}?",
        "Give the mean of {column} where {word} is {value}.",
    ),
}
_LOOKUP = (
    "What is the {column} of {name}?",
    "Which {column} does {name} have?",
    "Look up the {column} for {key} {name}.",
)
_COMPARISON = (
    "Which {noun} have a {column} {relation} than {bound}? Give the {key} of each.",
    "List the {key} of all {noun} whose {column} is {relation} than {bound}.",
)
_COUNTING = ("How many {noun} have {value} as {word}?", "Count the {noun} whose {word} is {value}.")
_RANKING = (
    "Which of the {noun} has the {extreme} {column}? Give its {key}.",
    "Name the {key} with the {extreme} {column}.",
)
_INSERT = ("Add a row to {table}: {pairs}.", "Insert into {table} a new entry with {pairs}.")
_UPDATE = (
    "Set the {column} of {name} to {value}.",
    "Change {column} to {value} where {key} is {name}.",
    "For {name}, the {column} is now {value}; update the table.",
)
_DELETE = ("Delete the row of {name}.", "Remove all {noun} whose {word} is {value}.")


@dataclass(frozen=True)
class _Draft:
    """A sample without its table: for a query the label, for a mutation the rows that it leaves."""

    text: str
    statement: str
    label: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def generate(split: Split, count: int, seed: int, kinds: Sequence[str], rows: tuple[int, int]) -> list[Record]:
    """`count` samples that take the kinds in turn; the same arguments give the same ones."""
    return [
        generate_one(split, f"{split}/{seed}/{index}", index, kinds[index % len(kinds)], rows) for index in range(count)
    ]


def generate_one(split: Split, source: str, index: int, kind: str, rows: tuple[int, int]) -> Record:
    """The sample that `source` seeds; `index` is for its id. Raises ValueError on an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of sample")
    rng = random.Random(source)
    subject = choose_subject(split, rng)
    table = Table(subject.table, subject.columns, _rows(subject, rng.randint(*rows), rng))
    draft = _draft(kind, subject, table, rng)
    heading = f"The table is called {table.name} and has the columns {', '.join(table.columns)}."
    return Record(
        id=f"{split}-{index:05d}-{kind}",
        kind=kind,
        description=f"{draft.text}\n{heading}",
        table=table,
        label=draft.label,
        statement=draft.statement,
        digest=digest_rows(draft.rows) if draft.rows else "",
    )


def _rows(subject: Subject, count: int, rng: random.Random) -> tuple[Row, ...]:
    """Rows with different names; the numbers of a column all differ too, so that every extreme is unique."""
    names = _names(subject, rng)[:count]
    numbers = [rng.sample(range(low, high + 1), min(count, high + 1 - low)) for _, low, high in subject.numbers]
    return tuple(
        (
            name,
            *(rng.choice(words) for _, words in subject.words),
            *(str(column[row % len(column)]) for column in numbers),
        )
        for row, name in enumerate(names)
    )


def _names(subject: Subject, rng: random.Random) -> list[str]:
    names = [f"{first} {second}" for first in subject.names[0] for second in subject.names[1]]
    rng.shuffle(names)
    # More rows than names: the later rounds are numbered.
    return names + [f"{name} {number}" for number in range(2, 6) for name in names]


def _draft(kind: str, subject: Subject, table: Table, rng: random.Random) -> _Draft:
    if kind in ("INSERT", "UPDATE", "DELETE"):
        return _mutation(kind, subject, table, rng)
    name = f"`{table.name}`"
    word, _ = rng.choice(subject.words)
    value = rng.choice(table.rows)[table.columns.index(word)]
    # Numbers that occur twice (short ranges, many rows) make extremes ambiguous.
    column = rng.choice([c for c, _, _ in subject.numbers if _distinct(table, c)] or [subject.numbers[0][0]])
    facts = {"noun": subject.noun, "key": subject.key, "word": word, "value": value, "column": column}
    chosen = [
        int(row[table.columns.index(column)] or 0) for row in table.rows if row[table.columns.index(word)] == value
    ]
    if kind.startswith("aggregation-"):
        function = kind.removeprefix("aggregation-")
        result = {"SUM": sum(chosen), "MAX": max(chosen), "MIN": min(chosen), "AVG": sum(chosen) / len(chosen)}[
            function
        ]
        text = rng.choice(_FUNCTIONS[function]).format(**facts)
        return _Draft(text, f"SELECT {function}(`{column}` + 0) FROM {name} WHERE `{word}` = '{value}'", (str(result),))
    if kind == "counting":
        text = rng.choice(_COUNTING).format(**facts)
        return _Draft(text, f"SELECT COUNT(*) FROM {name} WHERE `{word}` = '{value}'", (str(len(chosen)),))
    keys = [str(row[0]) for row in table.rows]
    if kind == "other":
        row = rng.choice(table.rows)
        column = rng.choice(table.columns[1:])
        text = rng.choice(_LOOKUP).format(column=column, name=row[0], key=subject.key)
        statement = f"SELECT `{column}` FROM {name} WHERE `{subject.key}` = '{row[0]}'"
        return _Draft(text, statement, (str(row[table.columns.index(column)]),))
    numbers = [int(row[table.columns.index(column)] or 0) for row in table.rows]
    if kind == "ranking":
        most = rng.random() < 0.5
        text = rng.choice(_RANKING).format(**facts, extreme="highest" if most else "lowest")
        place = numbers.index(max(numbers) if most else min(numbers))
        order = "DESC" if most else "ASC"
        return _Draft(
            text, f"SELECT `{subject.key}` FROM {name} ORDER BY `{column}` + 0 {order} LIMIT 1", (keys[place],)
        )
    more = rng.random() < 0.5
    ordered = sorted(numbers)
    # One to three rows lie beyond the bound.
    beyond = rng.randint(1, 3)
    bound = ordered[-beyond - 1] if more else ordered[beyond]
    label = [key for key, number in zip(keys, numbers, strict=True) if (number > bound if more else number < bound)]
    if not label:  # the bound is itself the extreme, several times over
        bound += -1 if more else 1
        label = [key for key, number in zip(keys, numbers, strict=True) if (number > bound if more else number < bound)]
    relation, sign = ("higher", ">") if more else ("lower", "<")
    text = rng.choice(_COMPARISON).format(**facts, relation=relation, bound=bound)
    return _Draft(text, f"SELECT `{subject.key}` FROM {name} WHERE `{column}` {sign} {bound}", tuple(label))


def _mutation(kind: str, subject: Subject, table: Table, rng: random.Random) -> _Draft:
    name = f"`{table.name}`"
    if kind == "INSERT":
        taken = {row[0] for row in table.rows}
        fresh = next(candidate for candidate in _names(subject, rng) if candidate not in taken)
        row: Row = (
            fresh,
            *(rng.choice(words) for _, words in subject.words),
            *(str(rng.randint(low, high)) for _, low, high in subject.numbers),
        )
        pairs = ", ".join(f"{column} {value}" for column, value in zip(table.columns, row, strict=True))
        columns, values = ", ".join(f"`{c}`" for c in table.columns), ", ".join(f"'{v}'" for v in row)
        return _Draft(
            rng.choice(_INSERT).format(table=table.name, pairs=pairs),
            f"INSERT INTO {name} ({columns}) VALUES ({values})",
            rows=(*table.rows, row),
        )
    target = rng.choice(table.rows)
    if kind == "UPDATE":
        place = rng.randrange(1, len(table.columns))
        choices = [str(v) for v in subject.words[place - 1][1]] if place <= 2 else []
        if not choices:
            low, high = subject.numbers[place - 3][1:]
            choices = [str(number) for number in rng.sample(range(low, high + 1), 2)]
        value = next(choice for choice in rng.sample(choices, len(choices)) if choice != target[place])
        changed = tuple((*row[:place], value, *row[place + 1 :]) if row is target else row for row in table.rows)
        column = table.columns[place]
        text = rng.choice(_UPDATE).format(column=column, name=target[0], value=value, key=subject.key)
        return _Draft(
            text, f"UPDATE {name} SET `{column}` = '{value}' WHERE `{subject.key}` = '{target[0]}'", rows=changed
        )
    place = rng.choice((0, 1, 2))
    if len({row[place] for row in table.rows}) == 1:  # deleting every row would leave nothing to take a hash of
        place = 0
    text = _DELETE[0 if place == 0 else 1].format(
        name=target[0], noun=subject.noun, word=table.columns[place], value=target[place]
    )
    kept = tuple(row for row in table.rows if row[place] != target[place])
    return _Draft(text, f"DELETE FROM {name} WHERE `{table.columns[place]}` = '{target[place]}'", rows=kept)


def _distinct(table: Table, column: str) -> bool:
    values = [row[table.columns.index(column)] for row in table.rows]
    return len(set(values)) == len(values)
