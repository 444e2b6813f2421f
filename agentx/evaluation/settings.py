"""Options of the evaluation loop."""

from __future__ import annotations

from dataclasses import dataclass

from agentx.errors import ConfigError


@dataclass
class EvaluationSettings:
    """How the episodes of one cell are run. None of these changes what an episode is asked."""

    trials: int = 1
    """Episodes per sample, each with seeds of its own."""
    concurrency: int = 32
    """Episodes in play at once, on each device."""
    retries: int = 2
    """Further tries after an infrastructure error; an agent's failure is never retried."""
    retry_delay: float = 1.0
    """Seconds before the first further try; doubled for each one after it, at most 60."""
    give_up_after: int = 32
    """Stop the run when this many episodes in a row ended in an infrastructure error, with none finished between."""

    def __post_init__(self) -> None:
        least_values = {"trials": 1, "concurrency": 1, "retries": 0, "retry_delay": 0, "give_up_after": 1}
        for name, least in least_values.items():
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"evaluation.{name}={value}: must be at least {least}")
