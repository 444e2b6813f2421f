"""The data card: what the file holds, for whoever trains on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from agentx.construction.record import Reason, Status
from agentx.construction.selection import Result


def card(results: Sequence[Result], own: Mapping[str, Any], file: str) -> str:
    """Markdown: origin, counts, lengths, kinds, yields, duplicates, and what the data are not."""
    kept = [(dialogue, verdict) for dialogue, verdict in results if verdict.kept]
    lines = [f"# {file}", ""]
    lines += [
        f"{len(kept)} agent trajectories of the task {own['task']}, one JSON object a line (ShareGPT turns with "
        "`loss`, provenance in `metadata`).",
        "",
        f"- teacher: {own['teacher']} ({', '.join(f'{role}: {name}' for role, name in own['models'].items())})",
        f"- environment: {own['environment']}; every trajectory was played again in the real one "
        f"({own['real_environment']})",
        f"- seed {own['seed']}, prompts {', '.join(f'{name} {digest}' for name, digest in own['prompts'].items())}",
        f"- written for method={own['style']}, task.prompt={own['prompt']}, {own['shots']} worked examples in the "
        "prompt",
    ]
    if own["simulated_teacher"]:
        lines.append("- the teacher is simulated: scripted experts with varied wording, no language model")
    lines += [
        "",
        "## Counts",
        "",
        "| kind | begun | verified | repaired | rejected | kept % |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    kinds = sorted({dialogue.kind for dialogue, _ in results})
    for kind in [*kinds, "all"]:
        own_results = [verdict for dialogue, verdict in results if kind in (dialogue.kind, "all")]
        counts = Counter(verdict.status for verdict in own_results)
        good = counts[Status.VERIFIED] + counts[Status.REPAIRED]
        lines.append(
            f"| {kind} | {len(own_results)} | {counts[Status.VERIFIED]} | {counts[Status.REPAIRED]} | "
            f"{counts[Status.REJECTED]} | {100 * good / len(own_results) if own_results else 0:.1f} |"
        )
    lines += ["", "## Lengths", "", "| | least | median | most | sum |", "|---|---:|---:|---:|---:|"]
    for name, values in _lengths(kept).items():
        if values:
            lines.append(f"| {name} | {min(values):,} | {median(values):,.0f} | {max(values):,} | {sum(values):,} |")
    reasons = Counter(verdict.reason for _, verdict in results if verdict.reason)
    sentences = Counter(turn.thought for dialogue, _ in kept for turn in dialogue.turns)
    turns = sum(sentences.values())
    lines += [
        "",
        "## Duplicates and leaks",
        "",
        f"- near-duplicates removed: {reasons[Reason.DUPLICATE]}; problems too near to an evaluated one: "
        f"{reasons[Reason.LEAKED]} (compared with {own['evaluated_problems']} evaluated problems)",
        f"- different first observations: {len({dialogue.opening for dialogue, _ in kept})} of {len(kept)}",
        f"- different thoughts: {len(sentences)} of {turns}",
        "",
        "## Know before use",
        "",
        "- Actions that did nothing are in the dialogues with `loss: false`.",
        "- The lists of available actions that some evaluations add to the newest message are not in the data.",
        "- Problems are from training splits; results on the evaluated splits are not results on these problems.",
    ]
    if own["environment"] != "real":
        lines.append(
            "- Repaired dialogues hold the real replies where the simulated ones were false. They were rejected where "
            "later turns take up what only the false reply said, deny what it hid, or follow from an action that it "
            "wrongly called done or failed; a thought that fits neither reply in other ways can remain."
        )
    return "\n".join(lines) + "\n"


def _lengths(kept: Sequence[Result]) -> dict[str, list[int]]:
    return {
        "agent's replies": [len(dialogue.turns) for dialogue, _ in kept],
        "words of the agent": [sum(len(turn.reply.split()) for turn in dialogue.turns) for dialogue, _ in kept],
        "words of the environment": [
            len(dialogue.opening.split()) + sum(len(turn.observation.split()) for turn in dialogue.turns[:-1])
            for dialogue, _ in kept
        ],
    }
