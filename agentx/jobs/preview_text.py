"""A preview for people: tables, and an example with the trained part marked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.text import Text

from agentx.conversation import Message
from agentx.models.rendering import Renderer
from agentx.reports.tables import Table, printable
from agentx.tuning.preview import PERCENTILES, SIDES, Preview

MARKS = ("⟦", "⟧")
"""around what is trained, where there is no colour"""


def tables(preview: Preview) -> list[Table]:
    """What `job=data` prints before the examples."""
    found = [_sets(preview), _repetitions(preview)]
    if preview.mix:
        found.insert(1, _mix(preview))
    if preview.contamination is not None:
        found.append(_contamination(preview.contamination))
    return found


def _sets(preview: Preview) -> Table:
    columns = ("side", "source", "conversations", "tokens", "trained", "%", *(f"p{share}" for share in PERCENTILES))
    rows = []
    for side in SIDES:
        whole = preview.sides[side]
        sources = list(whole["sources"].items())
        if len(sources) > 1:
            sources.append(("all", whole["all"]))
        for source, counts in sources:
            lengths = counts["lengths"]
            rows.append(
                (
                    side,
                    printable(source)[:60],
                    f"{counts['conversations']:,}",
                    f"{counts['tokens']:,}",
                    f"{counts['trained_tokens']:,}",
                    f"{100 * counts['trained_tokens'] / max(1, counts['tokens']):.0f}",
                    *(f"{lengths.get(f'p{share}', 0):,}" for share in PERCENTILES),
                    f"{lengths.get('max', 0):,}",
                    str(counts["split"]),
                    str(counts["dropped"]),
                    str(counts["refused"]),
                )
            )
    notes = [
        f"{side}: {preview.sides[side]['skipped']} broken records skipped, "
        f"{preview.sides[side]['turns_dropped']} trained turns too long for any piece"
        for side in SIDES
        if preview.sides[side]["skipped"] or preview.sides[side]["turns_dropped"]
    ]
    notes.append(
        "tokens: of whole conversations; split, dropped: longer than tuning.max_length; refused: by the template"
    )
    return Table("Tuning data", (*columns, "max", "split", "dropped", "refused"), rows, notes)


def _mix(preview: Preview) -> Table:
    mix = preview.mix
    columns = ("λ", "steps", "examples", "of agent %", "trained tokens", "of agent %", "agent epochs", "general epochs")
    row = (
        f"{mix['lambda']:g}",
        f"{mix['steps']:,.0f}",
        f"{mix['examples']:,.0f}",
        f"{100 * mix['lambda_examples']:.1f}",
        f"{mix['trained_tokens']:,.0f}",
        f"{100 * mix['lambda_tokens']:.1f}",
        f"{mix['epochs_agent']:.2f}",
        f"{mix['epochs_general']:.2f}",
    )
    return Table("The mix as it will be drawn", columns, [row])


def _repetitions(preview: Preview) -> Table:
    rows = []
    threshold = preview.duplicates["threshold"]
    for kind, label in (("exact", "exact"), ("near", f"near (≥ {threshold:g})" if threshold else "near")):
        counts = preview.duplicates[kind]
        values = ["not looked for"] * 3 if counts is None else [str(counts[k]) for k in ("agent", "general", "across")]
        rows.append((label, *values))
    return Table("Conversations that repeat an earlier one", ("", "agent", "general", "general repeats agent"), rows)


def _contamination(found: dict[str, Any]) -> Table:
    columns = ("evaluation samples", "same id", "word for word", "known (≥ 80 %)", "any overlap")
    row = [str(found[key]) for key in ("samples", "same_id", "exact", "known", "any_overlap")]
    notes = [
        f"{printable(o['sample'])}: {100 * o['share']:.0f} % in {', '.join(map(printable, o['conversations']))}"
        for o in found["overlaps"][:5]
    ]
    notes.append(f"overlap: {found['ngram']} words in a row, or a shorter statement whole")
    return Table("Contamination: evaluation samples among the training data", columns, [row], notes)


def rendered_example(
    messages: Sequence[Message], renderer: Renderer, tokenizer: Any, colour: bool, longest: int = 6000
) -> Text:
    """A conversation as the model will read it, control tokens included, trained tokens in colour or between marks."""
    rendered = renderer.render(messages)
    text = Text()
    pairs = zip(rendered.ids, rendered.trained, strict=True)
    for trained, group in groupby(pairs, key=lambda pair: pair[1]):
        part = printable_lines(tokenizer.decode([token for token, _ in group], skip_special_tokens=False))
        if trained and not colour:
            part = f"{MARKS[0]}{part}{MARKS[1]}"
        text.append(part, style="black on green" if trained and colour else "")
    if len(text) > longest:
        text.truncate(longest)
        text.append(f" … ({len(rendered.ids):,} tokens in all)")
    return text


def printable_lines(text: str) -> str:
    """Lines stay lines; whatever else could take over a terminal is made visible."""
    return "\n".join(printable(line) for line in text.split("\n"))
