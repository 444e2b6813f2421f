"""Tuning beside TRL: trained tokens per second and peak memory of the same training done in several ways.

    python benchmarks/tuning.py [--repeats 3] [--steps 8] [--precision fp32]

Every way trains the same LoRA adapter (same initial weights, optimiser, learning rate, no dropout) of the same model on
the same conversations in the same order, on SDPA attention, with the same threads, each in a process of its own; the
ways take turns within one run.

    ours            this project: `agentx.tuning.run.tune`, passes grouped by length (and packed, on a GPU)
    trl_1, trl_4    TRL's SFTTrainer, loss on the assistant's tokens only (its `assistant_masks`), 1 or 4 rows a pass
    trl_packed      the same with TRL's best-fit packing
    padded          transformers' Trainer, one conversation a row, each padded to the full length (the authors' way)

Conversations are AgentInstruct's and OpenAssistant's below AGENTX_SHARED_DATA, else ones generated here. The model is
the embedded one; on a GPU one of Llama-2-7B's shape with random weights, in bf16, where model FLOPs utilisation is
given too (--peak-tflops: the GPU's dense bf16 peak). The first step is left out of all times. On a CPU, seconds are
those the process itself computed, so that other work on the machine changes little; wall time is in the JSON.

TRL comes with `pip install -e .[benchmarks]`; without it its rows are left out. Where a goal is missed, or with
--profile, a further run of `ours` under torch's profiler tells where its time goes. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from agentx.conversation import Conversation
from agentx.models.settings import ModelSettings
from agentx.tuning.settings import LoggerSettings, TrainerSettings, TuningSettings

WAYS = ("ours", "trl_1", "trl_4", "trl_packed", "padded")
MAX_LENGTH = 1024
GOALS = {"ours_over_fastest_trl": 1.3, "ours_over_padded": 3.0}
RANK = 16
ROWS = 16
"""conversations per optimiser step"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help=f"optimiser steps of {ROWS} conversations")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="bf16" if torch.cuda.is_available() else "fp32"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--peak-tflops", type=float, default=None, help="for MFU; H100, H200: 989, A100: 312")
    parser.add_argument("--profile", action="store_true", help="tell where the time of `ours` goes, whatever the goals")
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--profiled", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(profiled(arguments) if arguments.profiled else work(arguments)))
        return
    ways = [way for way in arguments.ways.split(",") if way]
    if importlib.util.find_spec("trl") is None and any(way.startswith("trl") for way in ways):
        print("TRL is not installed (pip install -e .[benchmarks]): its rows are left out")
        ways = [way for way in ways if not way.startswith("trl")]
    with tempfile.TemporaryDirectory() as scratch:
        model = large_model(Path(scratch)) if torch.cuda.is_available() else "tiny"
        results: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for repeat in range(arguments.repeats):
            for way in ways:
                results[way].append(run(way, model, arguments))
                rate = results[way][-1]["trained_tokens_per_s"]
                print(f"repeat {repeat + 1} of {arguments.repeats}, {way}: {rate:,.0f} trained tokens/s", flush=True)
        summary, goals = report(results, arguments)
        missed = [name for name, goal in GOALS.items() if (goals[name] or goal) < goal]
        shares = None
        if arguments.profile or missed:
            shares = run("ours", model, arguments, "--profiled")
            told = ", ".join(missed) + ": missed. " if missed else ""
            print(f"{told}Where the time of ours goes:")
            for name, share in sorted(shares.items(), key=lambda pair: -pair[1]):
                print(f"  {share:6.1%}  {name}")
    facts = {name: getattr(arguments, name) for name in ("repeats", "steps", "precision", "threads")}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    data = next(iter(results.values()))[0]["data"]
    print(json.dumps({"benchmark": "tuning", "device": device, **facts, "conversations_per_step": ROWS, "data": data,
                      "ways": summary, "goals": goals, "profile": shares}))  # fmt: skip


def run(way: str, model: str, arguments: argparse.Namespace, *more: str) -> dict[str, Any]:
    """One way in a process of its own."""
    command = [sys.executable, __file__, "--worker", way, "--model", model, *more]
    for option in ("steps", "precision", "threads"):
        command += [f"--{option}", str(getattr(arguments, option))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def report(
    results: dict[str, list[dict[str, Any]]], arguments: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, float | None]]:
    """Print the table with the agreement of the loss curves; the figures of each way, and those with a goal."""
    rates = {way: statistics.median(r["trained_tokens_per_s"] for r in made) for way, made in results.items()}
    reference = results.get("ours") or next(iter(results.values()))
    print(
        f"\n{'':12s} {'trained tok/s':>13s} {'all tok/s':>10s} {'spread':>15s} {'peak MB':>8s} {'ours is':>8s}"
        f" {'loss':>15s}"
    )
    summary = {}
    for way, made in results.items():
        spread = [r["trained_tokens_per_s"] for r in made]
        curve, ours = made[0]["losses"], reference[0]["losses"]
        same = len(curve) == len(ours) and not made[0]["other_order"]
        apart = max(abs(a - b) / abs(b) for a, b in zip(curve, ours, strict=True)) if same else None
        peak = statistics.median(r["peak_mb"] for r in made)
        tokens = statistics.median(r["tokens_per_s"] for r in made)
        summary[way] = {
            "trained_tokens_per_s": round(rates[way], 1),
            "tokens_per_s": round(tokens, 1),
            "peak_mb": round(peak),
            "wall_s": [round(r["wall_s"], 1) for r in made],
            "ratio": round(rates["ours"] / rates[way], 2) if "ours" in rates else None,
            "loss_first": curve[0],
            "loss_last": curve[-1],
            "curve_apart": apart,
            "mfu": mfu(made[0], tokens, arguments.peak_tflops),
        }
        told = f"{curve[0]:.3f} → {curve[-1]:.3f}"
        print(
            f"{way:12s} {rates[way]:13,.0f} {tokens:10,.0f} {min(spread):7,.0f}–{max(spread):<7,.0f} {peak:8,.0f} "
            f"{rates.get('ours', float('nan')) / rates[way]:7.2f}× {told:>15s}"
            + (f"  curves differ by at most {apart:.1e}" if apart is not None else "  (another order: not comparable)")
        )
    best = max((rates[way] for way in rates if way.startswith("trl")), default=None)
    goals = {
        "ours_over_fastest_trl": round(rates["ours"] / best, 2) if best and "ours" in rates else None,
        "ours_over_padded": round(rates["ours"] / rates["padded"], 2) if {"ours", "padded"} <= set(rates) else None,
    }
    print(
        f"goals: {goals['ours_over_fastest_trl']} × the fastest TRL (≥ 1.3), {goals['ours_over_padded']} × padded (≥ 3)"
    )
    return summary, goals


def mfu(made: dict[str, Any], tokens_per_s: float, peak_tflops: float | None) -> float | None:
    """Model FLOPs utilisation, counting 6 FLOPs a parameter and token (a LoRA step needs only about 4)."""
    if peak_tflops is None:
        return None
    return round(6 * float(made["parameters"]) * tokens_per_s / (peak_tflops * 1e12), 4)


def large_model(directory: Path) -> str:
    """Random weights of Llama-2-7B's shape with the embedded model's tokenizer, on disk."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from agentx.models.loading import load_tokenizer

    config = LlamaConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32
    )
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        LlamaForCausalLM(config).save_pretrained(directory)
        torch.set_default_dtype(torch.float32)
    torch.cuda.empty_cache()
    load_tokenizer(model_settings("tiny")).save_pretrained(directory)
    return str(directory)


def model_settings(source: str) -> ModelSettings:
    if source == "tiny":
        return ModelSettings(name="tiny", chat_template="tiny", dtype="float32")
    return ModelSettings(name="llama2-7b-shaped", source=source, chat_template="tiny", dtype="bfloat16")


def tuning_settings(arguments: argparse.Namespace) -> TuningSettings:
    gpu = torch.cuda.is_available()
    return TuningSettings(
        rank=RANK,
        alpha=32,
        dropout=0.0,
        learning_rate=2e-4,
        schedule="constant",
        warmup_ratio=0.0,
        weight_decay=0.0,
        steps=arguments.steps,
        batch_size=ROWS,
        tokens_per_pass=8 * MAX_LENGTH if gpu else MAX_LENGTH,
        max_length=MAX_LENGTH,
        packing=gpu,
        precision=arguments.precision,
        attention="sdpa",
        gradient_checkpointing=gpu,
        log_every=1000,
        checkpoint_every=0,
    )


def conversations(count: int) -> tuple[list[Conversation], list[Conversation], str]:
    """Agent and general conversations, and what they are."""
    folder = Path(os.environ.get("AGENTX_SHARED_DATA", "")) / "sft"
    files = [folder / "agentinstruct_reconstructed.jsonl", folder / "oasst_guanaco_from_tokens.jsonl"]
    if all(file.is_file() for file in files):
        from agentx.tuning.datasets import read_conversations

        sets = [read_conversations(file, "skip").conversations for file in files]
        agent, general = ([every[i * len(every) // count] for i in range(count)] for every in sets)
        return agent, general, "AgentInstruct and OpenAssistant"
    from agentx.construction.demonstrations import expert_conversations
    from agentx.pretraining.skills import general_conversations
    from agentx.tasks.household.settings import Settings

    made = expert_conversations("household", Settings(), max(1, count // 4), 0, 0)
    return list(made), list(general_conversations(count, 0)), "generated"


def work(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train in one way; what it measured."""
    torch.set_num_threads(arguments.threads)
    agent, general, data = conversations(ROWS * arguments.steps)
    way = ours if arguments.worker == "ours" else with_trainer
    measured = way(arguments, agent, general)
    stamps, trained, tokens = measured["stamps"], measured["trained"], measured["tokens"]
    wall, seconds = (last - first for first, last in zip(stamps[0], stamps[-1], strict=True))
    gpu = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() / 1e6 if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "trained_tokens_per_s": sum(trained[1:]) / seconds,
        "tokens_per_s": sum(tokens[1:]) / seconds,
        "wall_s": wall,
        "peak_mb": peak,
        "losses": measured["losses"],
        "other_order": arguments.worker == "trl_packed",
        "parameters": measured["parameters"],
        "data": data,
    }


def profiled(arguments: argparse.Namespace) -> dict[str, float]:
    """Shares of the time of `ours` by what it is spent on, of a few steps; the first, which sets up, is not in it."""
    from torch.profiler import ProfilerActivity, profile
    from transformers import AutoConfig

    from agentx.models.loading import from_pretrained

    torch.set_num_threads(arguments.threads)
    arguments.steps = min(arguments.steps, 4)
    agent, general, _ = conversations(ROWS * arguments.steps)
    gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    profiler = profile(activities=activities, record_shapes=True)
    marks: list[tuple[float, float]] = []

    def after_step(done: int) -> None:
        if done == 1:
            profiler.start()
            marks.append(clocks())
        elif done == arguments.steps:
            marks.append(clocks())
            profiler.stop()

    ours(arguments, agent, general, after_step)
    vocabulary = from_pretrained(AutoConfig, model_settings(arguments.model)).vocab_size
    seconds: dict[str, float] = {}
    for event in profiler.key_averages(group_by_input_shape=True):
        name = spent_on(event.key, event.input_shapes, vocabulary)
        taken = event.self_device_time_total if gpu else event.self_cpu_time_total
        seconds[name] = seconds.get(name, 0.0) + taken / 1e6
    whole = marks[1][1] - marks[0][1]
    rest = whole - sum(seconds.values())
    if rest > 0:
        seconds["outside operators: Python, Lightning, data" + (", waiting" if gpu else "")] = rest
    total = sum(seconds.values())
    return {name: round(value / total, 4) for name, value in seconds.items()}


def spent_on(operator: str, shapes: list[list[int]], vocabulary: int) -> str:
    """What an operator of the training step belongs to, by its name and the sizes of what goes in."""
    sizes = {size for shape in shapes if isinstance(shape, list) for size in shape}
    if any(part in operator for part in ("attention", "flash", "fmha")):
        return "attention"
    if any(part in operator for part in ("softmax", "nll_loss", "cross_entropy")):
        return "cross-entropy"
    if operator.startswith("Optimizer") or "adam" in operator or "clip_grad" in operator or "foreach" in operator:
        return "optimiser and gradient clipping"
    if operator in ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::matmul", "aten::linear"):
        if vocabulary in sizes:
            return "matrix products: vocabulary head"
        return "matrix products: adapters" if RANK in sizes else "matrix products: frozen weights"
    if operator in ("aten::embedding", "aten::index", "aten::index_put_", "aten::_index_put_impl_"):
        return "embedding and choice of trained positions"
    if operator in ("aten::mul", "aten::add", "aten::add_", "aten::mul_", "aten::silu", "aten::silu_backward",
                    "aten::copy_", "aten::cat", "aten::neg", "aten::mean", "aten::pow", "aten::rsqrt", "aten::sum",
                    "aten::div", "aten::expand"):  # fmt: skip
        return "elementwise: norms, rotary positions, activations, adding adapters"
    return "other operators and autograd"


def ours(
    arguments: argparse.Namespace,
    agent: list[Conversation],
    general: list[Conversation],
    after_step: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    from agentx.tuning.run import tune

    stamps: list[tuple[float, float]] = []

    def report(done: int, total: int, account: str) -> None:
        stamps.append(clocks())
        after_step(done)

    settings = tuning_settings(arguments)
    trainer = TrainerSettings(accelerator="gpu" if torch.cuda.is_available() else "cpu", threads=arguments.threads)
    with tempfile.TemporaryDirectory() as output:
        result = tune(
            model_settings(arguments.model), settings, trainer, LoggerSettings(name="none"),
            agent=agent, general=general, agent_ratio=0.5, seed=0, output=output, progress=report,
        )  # fmt: skip
    plan = plan_of(arguments, agent, general)
    shares = [plan.realised(step) for step in range(arguments.steps + 1)]
    trained = [share.agent_tokens + share.general_tokens for share in shares]
    tokens = [plan.tokens(step) for step in range(arguments.steps + 1)]
    return {
        "stamps": stamps,
        "trained": [b - a for a, b in itertools.pairwise(trained)],
        "tokens": [b - a for a, b in itertools.pairwise(tokens)],
        "losses": [entry["loss"] for entry in result.history],
        "parameters": parameters(arguments),
    }


def plan_of(arguments: argparse.Namespace, agent: list[Conversation], general: list[Conversation]) -> Any:
    from agentx.models.loading import load_renderer
    from agentx.tuning.data import TuningPlan
    from agentx.tuning.examples import make_examples

    renderer = load_renderer(model_settings(arguments.model))
    sets = [make_examples(each, renderer, MAX_LENGTH) for each in (agent, general)]
    return TuningPlan(sets[0], sets[1], 0.5, tuning_settings(arguments), 0)


def parameters(arguments: argparse.Namespace) -> int:
    from transformers import AutoConfig, AutoModelForCausalLM

    from agentx.models.loading import from_pretrained

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(from_pretrained(AutoConfig, model_settings(arguments.model)))
    return sum(parameter.numel() for parameter in model.parameters())


def with_trainer(
    arguments: argparse.Namespace, agent: list[Conversation], general: list[Conversation]
) -> dict[str, Any]:
    """TRL's trainer or transformers', given the tokens that this project would train on, in its order."""
    from datasets import Dataset
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from agentx.models.loading import load_tokenizer
    from agentx.tuning import base
    from agentx.tuning.adapters import attach

    settings = tuning_settings(arguments)
    plan = plan_of(arguments, agent, general)
    examples = [plan.examples[index] for index in plan.indices]
    gpu = torch.cuda.is_available()
    model = base.load_weights(model_settings(arguments.model), settings, accelerated=gpu)
    # Checkpointing is the trainers' own affair.
    model = attach(model, replace(settings, gradient_checkpointing=False), None, 0)
    way = arguments.worker
    rows = {"trl_1": 1, "trl_4": 4, "trl_packed": 8 if gpu else 1, "padded": 1}[way]
    counts: list[tuple[int, int]] = []
    stamps: list[tuple[float, float]] = []
    losses: list[float] = []

    class Stamps(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            stamps.append(clocks())

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                losses.append(float(logs["loss"]))

    with tempfile.TemporaryDirectory() as output:
        options: dict[str, Any] = {
            "output_dir": output,
            "per_device_train_batch_size": rows,
            "gradient_accumulation_steps": ROWS // rows,
            "learning_rate": settings.learning_rate,
            "lr_scheduler_type": "constant",
            "max_grad_norm": settings.gradient_clip,
            "weight_decay": 0.0,
            "num_train_epochs": 1,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "bf16": arguments.precision == "bf16",
            "gradient_checkpointing": settings.gradient_checkpointing,
            "train_sampling_strategy": "sequential",
            "use_cpu": not gpu,
            "dataloader_pin_memory": gpu,
        }
        if way == "padded":
            data = Dataset.from_list([fully_padded(example) for example in examples])
            trainer: Any = Trainer(
                model=model, args=TrainingArguments(**options), train_dataset=data, callbacks=[Stamps()]
            )
        else:
            from trl import SFTConfig, SFTTrainer

            records = [
                {"input_ids": e.ids.tolist(), "assistant_masks": e.trained.astype(int).tolist()} for e in examples
            ]
            config = SFTConfig(**options, max_length=MAX_LENGTH, packing=way == "trl_packed")
            trainer = SFTTrainer(
                model=model,
                args=config,
                train_dataset=Dataset.from_list(records),
                processing_class=load_tokenizer(model_settings(arguments.model)),
                callbacks=[Stamps()],
            )
        collate = trainer.data_collator

        def counting(batch: list[dict[str, Any]]) -> Any:
            made = collate(batch)
            real = made["attention_mask"].sum() if "attention_mask" in made else torch.tensor(made["input_ids"].numel())
            counts.append((int((made["labels"][:, 1:] != -100).sum()), int(real)))
            return made

        trainer.data_collator = counting
        trainer.train()
    passes = ROWS // rows
    per_step = [counts[start : start + passes] for start in range(0, len(counts), passes)][: len(stamps)]
    return {
        "stamps": stamps,
        "trained": [sum(trained for trained, _ in step) for step in per_step],
        "tokens": [sum(tokens for _, tokens in step) for step in per_step],
        "losses": losses[: len(stamps)],
        "parameters": parameters(arguments),
    }


def fully_padded(example: Any) -> dict[str, list[int]]:
    missing = MAX_LENGTH - len(example)
    ids = example.ids.tolist()
    labels = [token if trained else -100 for token, trained in zip(ids, example.trained, strict=True)]
    return {
        "input_ids": ids + [0] * missing,
        "labels": labels + [-100] * missing,
        "attention_mask": [1] * len(ids) + [0] * missing,
    }


def clocks() -> tuple[float, float]:
    """Seconds on the wall, and seconds that count: those this process computed, or on a GPU the wall's."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter(), time.perf_counter()
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()
