"""How servers are told that a reply must be one of a few texts, and what they answer then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

LONGEST_ANSWER = 48
"""Tokens of a choice wrapped in JSON."""
_FIELD = "answer"


def choice_fields(form: str, choices: Sequence[str]) -> dict[str, Any]:
    """Further fields of a request whose reply must be one of `choices`; `form` is backend.choices."""
    if form == "structured_outputs":
        return {"extra_body": {"structured_outputs": {"choice": list(choices)}}}
    if form == "guided_choice":
        return {"extra_body": {"guided_choice": list(choices)}}
    if form == "json_schema":
        schema = {
            "type": "object",
            "properties": {_FIELD: {"type": "string", "enum": list(choices)}},
            "required": [_FIELD],
            "additionalProperties": False,
        }
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": _FIELD, "strict": True, "schema": schema},
            }
        }
    return {}


def read_choice(text: str) -> str:
    """The choice in a reply of the form json_schema asks for; other replies as they are."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return text
    chosen = answer.get(_FIELD) if isinstance(answer, dict) else None
    return chosen if isinstance(chosen, str) else text
