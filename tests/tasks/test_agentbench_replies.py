"""AgentBench's own replies, which hold no action apart: what cannot be done with them in any task that has them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from agentx.errors import ConfigError
from agentx.reasoning.settings import MethodSettings
from agentx.tasks.database import demonstrations as database
from agentx.tasks.database.settings import Settings as DatabaseSettings
from agentx.tasks.operating_system import demonstrations as operating_system
from agentx.tasks.operating_system.settings import Settings as OsSettings


@pytest.mark.parametrize(
    ("settings", "demonstrations"),
    [(DatabaseSettings(replies="agentbench"), database), (OsSettings(replies="agentbench"), operating_system)],
)
def test_methods_that_choose_among_actions_and_experts_are_refused(settings: Any, demonstrations: ModuleType) -> None:
    settings.check_method(MethodSettings(name="react"))
    with pytest.raises(ConfigError, match=r"task\.replies=agentbench"):
        settings.check_method(MethodSettings(name="branch", num_branch=2))
    with pytest.raises(ConfigError, match=r"task\.replies=agentbench: the expert"):
        demonstrations.relevant_settings(settings)
