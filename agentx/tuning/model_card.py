"""The README.md of an adapter, in the Hub's form: what it was made from and how, and what it scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from agentx.tuning.adapters import AdapterCard

README = "README.md"
SCORES = "scores.json"
"""Beside the adapter: what its evaluations found, by cell."""

SHOWN = (
    *("name", "rank", "alpha", "dropout", "targets", "use_dora", "use_rslora", "learning_rate", "schedule"),
    *("warmup_ratio", "weight_decay", "batch_size", "max_length", "overlong", "mixing", "precision", "gradient_clip"),
)


def write_readme(directory: Path) -> None:
    """Write README.md from agentx.json and the scores known so far. Raises UserError where there is no agentx.json."""
    card = AdapterCard.read(directory)
    data = ModelCardData(
        library_name="peft" if card.kind == "adapter" else "transformers",
        base_model=card.source if card.source.count("/") == 1 and not Path(card.source).exists() else None,
        tags=["agentx", "agent", "lora" if card.settings.get("name") != "full" else "full"],
        pipeline_tag="text-generation",
    )
    text = "\n\n".join([_opening(card), _data(card), _settings(card), *_scores(directory), _versions(card)])
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n").save(directory / README)


def add_score(directory: Path, cell: str, score: dict[str, Any]) -> None:
    """Note what an evaluation found and write README.md anew; the same cell again takes its old score's place."""
    path = directory / SCORES
    scores = _read_scores(directory)
    scores[cell] = score
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(scores, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)
    write_readme(directory)


def _read_scores(directory: Path) -> dict[str, Any]:
    try:
        found = json.loads((directory / SCORES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _opening(card: AdapterCard) -> str:
    what = "LoRA adapter for" if card.kind == "adapter" else "Fully tuned from"
    return (
        f"# {card.model}, tuned as an agent with λ = {card.agent_ratio:g}\n\n"
        f"{what} `{_cell(card.source)}`, made by agentx (arXiv 2403.19962). It must be prompted with the chat template "
        f"`{_cell(card.template)}` it was tuned with (sha256 {card.template_sha256[:12]}…)."
    )


def _data(card: AdapterCard) -> str:
    lines = ["## Data", "", "| side | set | conversations | examples | trained tokens |", "|---|---|---:|---:|---:|"]
    for side, described in card.data.items():
        counts = described.get("examples", {})
        sources = ", ".join(f"{_cell(name)} ({count})" for name, count in described.get("sources", {}).items())
        values = [f"{counts.get(key, 0):,}" for key in ("conversations", "examples", "trained_tokens")]
        lines.append(f"| {side} | {sources or '–'} | {' | '.join(values)} |")
    realised = card.realised
    if realised:
        lines += [
            "",
            f"λ = {card.agent_ratio:g} ({card.settings.get('mixing')}); realised share of agent data: "
            f"{100 * realised['lambda_examples']:.1f} % of the examples drawn, "
            f"{100 * realised['lambda_tokens']:.1f} % of the trained tokens.",
        ]
    return "\n".join(lines)


def _settings(card: AdapterCard) -> str:
    lines = ["## Tuning", "", "| option | value |", "|---|---|"]
    lines += [f"| {name} | {_cell(str(card.settings[name]))} |" for name in SHOWN if name in card.settings]
    if card.history:
        lines += [
            "",
            f"{len(card.history)} steps, loss {card.history[0]['loss']:.3f} → {card.history[-1]['loss']:.3f}.",
        ]
    return "\n".join(lines)


def _scores(directory: Path) -> list[str]:
    scores = _read_scores(directory)
    if not scores:
        return []
    lines = ["## Scores", "", "| task | method | n | success % [95 % interval] | reward |", "|---|---|---:|---:|---:|"]
    for score in scores.values():
        low, value, high = (100 * score["success_rate"][key] for key in ("low", "value", "high"))
        names = f"{_cell(score['label'])} | {_cell(score['method'])} | {score['n']}"
        lines.append(f"| {names} | {value:.1f} [{low:.1f}, {high:.1f}] | {100 * score['reward']:.1f} |")
    return ["\n".join(lines)]


def _versions(card: AdapterCard) -> str:
    return "## Versions\n\n" + ", ".join(f"{name} {version}" for name, version in card.versions.items())


def _cell(text: str) -> str:
    """Names of data sets and models come from elsewhere: they must not break out of a table or become markup."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
