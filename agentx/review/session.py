"""One review: the items, the decisions about them, and what comes of both. Knows nothing of the web."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentx.errors import UserError
from agentx.review.agreement import Agreement, Preference, agreements, preference
from agentx.review.decisions import JUDGEMENTS, PREFERENCES, Decision, Decisions
from agentx.review.items import Item, Pair, Turn

LONGEST_COMMENT = 4000
LONGEST_EDIT = 200_000
LONGEST_NAME = 60


class Review:
    """`items` are Item (judging) or Pair (comparing), all of one kind."""

    def __init__(self, items: Sequence[Item] | Sequence[Pair], decisions: Decisions) -> None:
        self.items: list[Item | Pair] = list(items)
        self.decisions = decisions
        self.comparing = isinstance(self.items[0], Pair)
        self._by_key = {item.key: item for item in self.items}

    @property
    def choices(self) -> tuple[str, ...]:
        return PREFERENCES if self.comparing else JUDGEMENTS

    def shown(self, position: int, reviewer: str) -> dict[str, Any]:
        """The item at `position` as the page shows it to `reviewer`: nothing in it tells whose trajectory is where.

        Raises UserError for a position that does not exist.
        """
        if not 0 <= position < len(self.items):
            raise UserError(f"there is no item {position + 1}; there are {len(self.items)}")
        item = self.items[position]
        decision = self.decisions.of(item.key, reviewer)
        common = {"position": position, "total": len(self.items), "sample": item.sample, "task": item.task}
        if isinstance(item, Pair):
            sides = [item.first, item.second]
            if self.swapped(item, reviewer):
                sides.reverse()
            return {
                **common,
                "item": hashlib.blake2b(item.key.encode(), digest_size=8).hexdigest(),
                "sides": [
                    [{"role": turn.role, "text": turn.text, "notes": []} for turn in side.turns] for side in sides
                ],
                "decision": self._decision(decision, item, reviewer),
            }
        return {
            **common,
            "item": item.key,
            "turns": [_turn(turn) for turn in item.turns],
            "facts": item.facts,
            "editable": item.record is not None,
            "decision": self._decision(decision, item, reviewer),
        }

    def _decision(self, decision: Decision | None, item: Item | Pair, reviewer: str) -> dict[str, Any] | None:
        if decision is None:
            return None
        choice = decision.choice
        if isinstance(item, Pair):
            choice = self._seen(choice, item, reviewer)
        return {"choice": choice, "comment": decision.comment, "edits": decision.edits}

    def swapped(self, pair: Pair, reviewer: str) -> bool:
        """Whether this reviewer sees the second file's trajectory on the left: a coin of the pair and the reviewer."""
        return hashlib.blake2b(f"{pair.key}\0{reviewer}".encode(), digest_size=1).digest()[0] % 2 == 1

    def _seen(self, choice: str, pair: Pair, reviewer: str) -> str:
        """first/second (of the files) as left/right (of the page), and back: the same exchange."""
        if choice not in ("first", "second") or not self.swapped(pair, reviewer):
            return choice
        return "second" if choice == "first" else "first"

    def decide(self, position: int, reviewer: str, choice: str, comment: str, edits: Any, seconds: float) -> None:
        """Keep a reviewer's decision on the item at `position`; an empty choice takes it back.

        On a pair `first` is the left side as this reviewer sees it. Raises UserError on values that do not fit.
        """
        self.shown(position, reviewer)
        item = self.items[position]
        if not reviewer.strip() or len(reviewer) > LONGEST_NAME:
            raise UserError(f"a reviewer's name has 1 to {LONGEST_NAME} characters")
        if choice not in ("", *self.choices):
            raise UserError(f"choice {choice[:40]!r} is not one of {', '.join(self.choices)}")
        if len(comment) > LONGEST_COMMENT:
            raise UserError(f"the comment has {len(comment)} characters; at most {LONGEST_COMMENT} are kept")
        if isinstance(item, Pair):
            if edits:
                raise UserError("what is compared cannot be edited")
            choice = self._seen(choice, item, reviewer)
        decision = Decision(item.key, reviewer.strip(), choice, comment, _checked_edits(edits, item), seconds)
        self.decisions.add(decision)

    def progress(self, reviewer: str) -> dict[str, Any]:
        """How far `reviewer` is, where the first undecided item is, and how far others are."""
        self.decisions.refresh()
        done = {
            name: len(self.decisions.by(name, self._by_key)) for name in {*self.decisions.reviewers(), reviewer} if name
        }
        mine = self.decisions.by(reviewer, self._by_key)
        undecided = next((i for i, item in enumerate(self.items) if item.key not in mine), None)
        return {"total": len(self.items), "done": done.get(reviewer, 0), "next": undecided, "reviewers": done}

    def by_reviewer(self) -> dict[str, dict[str, str]]:
        return {name: self.decisions.by(name, self._by_key) for name in self.decisions.reviewers()}

    def agreements(self) -> list[Agreement]:
        return agreements(self.by_reviewer())

    def preference(self) -> Preference:
        return preference(self.by_reviewer())

    def reviewed(self, accepted_by: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """The accepted records with their edits, and how many were accepted, edited, rejected and left open.

        A record is accepted by at least `accepted_by` reviewers, more than rejected it. Of several edits the latest
        counts; what was edited is no longer what the environment verified, and says so.
        """
        kept: list[dict[str, Any]] = []
        counts = {"accepted": 0, "edited": 0, "rejected": 0, "open": 0}
        for item in self.items:
            if isinstance(item, Pair) or item.record is None:
                raise UserError("only files of conversations can be written again after a review")
            said = self.decisions.on(item.key)
            for_it = sum(decision.choice == "accept" for decision in said)
            against = len(said) - for_it
            if for_it >= accepted_by and for_it > against:
                record = _edited(item.record, said)
                counts["accepted"] += 1
                counts["edited"] += bool(record["metadata"]["review"]["edited"])
                kept.append(record)
            else:
                counts["rejected" if against and against >= for_it else "open"] += 1
        return kept, counts


def _turn(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "text": turn.text, "notes": list(turn.notes)}


def _checked_edits(edits: Any, item: Item | Pair) -> dict[str, str]:
    if not edits:
        return {}
    if isinstance(item, Pair) or item.record is None:
        raise UserError("an evaluated episode cannot be edited")
    if not isinstance(edits, Mapping):
        raise UserError("edits must map positions of turns to texts")
    checked = {}
    for position, text in edits.items():
        if not str(position).isdecimal() or int(position) >= len(item.turns) or not isinstance(text, str):
            raise UserError("edits must map positions of turns to texts")
        if len(text) > LONGEST_EDIT:
            raise UserError(f"an edited turn has {len(text)} characters; at most {LONGEST_EDIT} are kept")
        if text != item.turns[int(position)].text:
            checked[str(int(position))] = text
    return checked


def _edited(record: dict[str, Any], said: Sequence[Decision]) -> dict[str, Any]:
    latest = max((d for d in said if d.choice == "accept"), key=lambda decision: decision.at)
    edits = max((d for d in said if d.edits and d.choice == "accept"), key=lambda d: d.at, default=None)
    result = copy.deepcopy(record)
    messages = result["conversations"] if "conversations" in result else result["messages"]
    for position, text in (edits.edits if edits else {}).items():
        message = messages[int(position)]
        message["value" if "value" in message else "content"] = text
    metadata = dict(result.get("metadata") or {})
    metadata["review"] = {
        "accepted": sorted(d.reviewer for d in said if d.choice == "accept"),
        "rejected": sorted(d.reviewer for d in said if d.choice == "reject"),
        "comments": [{"reviewer": d.reviewer, "comment": d.comment} for d in said if d.comment],
        "edited": sorted(int(position) for position in edits.edits) if edits else [],
        "verified_as_it_stands": not edits,
        "at": latest.at,
    }
    return {**result, "metadata": metadata}


def write_records(records: Sequence[dict[str, Any]], path: Path) -> None:
    """All or nothing: JSON lines."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    os.replace(partial, path)
