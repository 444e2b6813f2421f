"""`job=merge`: write the tuned model as one plain model that transformers, vLLM and the like load."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

from agentx.config import Config
from agentx.errors import ConfigError
from agentx.tuning.settings import MergeSettings

log = logging.getLogger(__name__)

PROMPTS = 8
"""conversations on which adapter and merged model are compared"""
LONGEST = 512
"""tokens of such a prompt"""


def run(config: Config) -> Path:
    """Merge the adapter of this configuration, or `model.adapter`; returns the merged model's directory."""
    from agentx.models.loading import load_renderer
    from agentx.pretraining.skills import general_conversations
    from agentx.tuning.merging import merge

    options = cast(MergeSettings, config.job)
    if config.model.adapter is not None:
        adapter = Path(config.model.adapter)
    elif config.tuning.name == "none":
        raise ConfigError("job=merge: tuning=none has no adapter; name one with model.adapter=DIR, or the tuning's own")
    else:
        from agentx.jobs.tune import ensure_adapter, plan_adapter

        adapter = ensure_adapter(config, plan_adapter(config), may_train=False).path
    model = replace(config.model, adapter=None)
    renderer = load_renderer(model, adapter)
    asked = general_conversations(PROMPTS, config.seed)
    prompts = [renderer.prompt(conversation.messages[:1])[:LONGEST] for conversation in asked]
    output = options.output or adapter.with_name("merged")
    agreement = merge(model, adapter, output, prompts, options.dtype)
    print(
        f"merged        {output} ({agreement.dtype})\n"
        f"compared      {agreement.same_replies} of {agreement.prompts} greedy replies as before; logits differ by "
        f"{agreement.relative_difference:.1e} of their size, at most by {agreement.largest_difference:.1e}"
    )
    if agreement.same_replies < agreement.prompts:
        log.warning("warning: some greedy replies differ; job.dtype=float32 rounds the least")
    return output
