"""Options are checked where they are made, and the shipped YAMLs are what they say."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from agentx.errors import ConfigError
from agentx.reasoning.settings import (
    BacktrackSettings,
    BudgetSettings,
    DecomposeSettings,
    JudgeSettings,
    MethodSettings,
    ReplyTokens,
    TreeSettings,
)

CONF = Path(__file__).parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))
NESTED = {
    "max_tokens": ReplyTokens,
    "decompose": DecomposeSettings,
    "backtrack": BacktrackSettings,
    "tree": TreeSettings,
    "judge": JudgeSettings,
}


def shipped(name: str) -> MethodSettings:
    others = ["+model={shots: 1, max_tokens: 256}", "+task={multiline_actions: false}"]
    with initialize_config_dir(str(CONF), version_base=None):
        composed = compose(None, overrides=[*others, f"+method={name}"])
    options = OmegaConf.to_container(composed.method, resolve=True)
    assert isinstance(options, dict)
    return MethodSettings(
        **{str(key): NESTED[key](**value) if key in NESTED else value for key, value in options.items()}
    )


def test_every_method_is_there() -> None:
    wanted = {"io", "cot", "react", "tot", "decompose", "branch", "backtrack", "best_of_n", "ours"}
    assert wanted <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_methods_are_valid_and_differ_from_react_as_named(name: str) -> None:
    method = shipped(name)
    assert method.name == name
    assert (method.style == name) == (name in ("io", "cot", "react"))
    assert method.decompose.enabled == (name in ("decompose", "ours"))
    assert method.backtrack.enabled == (name in ("backtrack", "ours"))
    assert method.supports_paths == (name in ("backtrack", "best_of_n", "ours"))
    assert method.supports_branches == (name in ("branch", "ours", "tot"))
    assert not method.uses_oracle


def test_react_is_the_settings_default_and_names_every_option() -> None:
    assert shipped("react") == MethodSettings()


def test_best_of_n_runs_every_path_and_selects_as_ours_does() -> None:
    assert not shipped("best_of_n").backtrack.stop_early
    assert shipped("best_of_n").backtrack.final == shipped("ours").backtrack.final
    assert shipped("best_of_n").num_path == shipped("ours").num_path == 2
    assert shipped("ours").num_branch == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MethodSettings(style="recat"),
            r"method\.style=recat: must be one of io, cot, react; did you mean react\?",
        ),
        (lambda: MethodSettings(num_path=0), r"num_path=0: must be at least 1"),
        (lambda: MethodSettings(num_branch=0), r"num_branch=0"),
        (lambda: MethodSettings(num_branch=2, temperature=0), r"method\.temperature=0 with num_branch=2"),
        (lambda: MethodSettings(num_path=2, temperature=0), r"method\.temperature=0 with num_path=2"),
        (lambda: MethodSettings(shots=-1), r"method\.shots=-1"),
        (lambda: MethodSettings(top_p=1.5), r"method\.top_p=1\.5: must be at most 1"),
        (lambda: DecomposeSettings(max_subtasks=0), r"method\.decompose\.max_subtasks=0"),
        (lambda: BacktrackSettings(signal="reward"), r"method\.backtrack\.signal=reward.*did you mean env_reward"),
        (lambda: BacktrackSettings(final="best"), r"method\.backtrack\.final=best"),
        (lambda: BacktrackSettings(context_share=2), r"method\.backtrack\.context_share=2"),
        (lambda: TreeSettings(strategy="bsf"), r"method\.tree\.strategy=bsf.*did you mean bfs"),
        (lambda: TreeSettings(beam=0), r"method\.tree\.beam=0"),
        (lambda: JudgeSettings(history_steps=0), r"method\.judge\.history_steps=0"),
        (lambda: ReplyTokens(pick=0), r"method\.max_tokens\.pick=0"),
        (lambda: BudgetSettings(max_calls=0), r"budget\.max_calls=0"),
        (lambda: BudgetSettings(max_seconds="long"), r"budget\.max_seconds='long': must be a number"),
        (
            lambda: MethodSettings(tree=TreeSettings("bfs"), decompose=DecomposeSettings(enabled=True)),
            r"method\.tree\.strategy=bfs: a tree search has no subtasks",
        ),
    ],
)
def test_wrong_options_are_named(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_oracles_are_marked_only_where_they_matter() -> None:
    oracle = BacktrackSettings(enabled=True, signal="env_reward", final="last")
    assert MethodSettings(num_path=2, backtrack=oracle).uses_oracle
    assert not MethodSettings(num_path=1, backtrack=oracle).uses_oracle
    assert MethodSettings(num_path=2, backtrack=BacktrackSettings(final="best_by_reward")).uses_oracle
    assert MethodSettings(tree=TreeSettings("bfs"), backtrack=BacktrackSettings(final="best_by_reward")).uses_oracle
