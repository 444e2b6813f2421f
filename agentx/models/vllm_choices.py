"""Constrained replies inside vLLM's engine process, by the same rule as in our own engine.

vLLM's grammars work on text and let a choice be reached over any of its tokenisations; here it is written with the
tokens that the renderer, and so the tuning, writes it with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from agentx.models.choices import ChoiceTokens
from agentx.models.sampling import keep_only

ARGUMENT = "agentx_choices"
"""Key in a request's extra arguments: the token sequences of its choices."""


class ChoiceProcessor(AdapterLogitsProcessor):
    """Leaves only the tokens of a request's choices possible."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Any:
        sequences = (params.extra_args or {}).get(ARGUMENT)
        if not sequences:
            return None
        choices = ChoiceTokens({str(number): ids for number, ids in enumerate(sequences)})

        def mask(output_ids: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
            # The engine may run one step ahead of a reply that has ended: then nothing is left to choose from.
            allowed = choices.allowed(output_ids)
            return keep_only(logits, allowed) if allowed else logits

        return mask
