"""`job=pretrain`: the tiny model from nothing: tokenizer, text, training, exported checkpoint."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agentx.errors import ConfigError
from agentx.pretraining.contamination import contamination
from agentx.pretraining.corpus import batches, corpus_hash, document, plain_text
from agentx.pretraining.curves import write_curves
from agentx.pretraining.export import LOG, RECIPE, export_model, recipe_record
from agentx.pretraining.initialization import scale_embeddings, write_copying_heads
from agentx.pretraining.narration import episode
from agentx.pretraining.plays import Play, archive
from agentx.pretraining.probes import Probe, evaluate, general_probes, narration_probes
from agentx.pretraining.settings import PretrainSettings
from agentx.pretraining.tokenizer import frequent_phrases, load_tokenizer, train_tokenizer
from agentx.pretraining.training import Training
from agentx.pretraining.words import HOUSEHOLD, LABELS, PROMPT_WORDS

log = logging.getLogger(__name__)

PHRASES = 90


def pretrain(settings: PretrainSettings, output: Path) -> dict[str, Any]:
    """Trains the tiny model in `output` and returns the record written beside the checkpoint.

    Goes on from `output/state.pt` when it is there: the same command finishes an interrupted run. A file
    `output/stop` (empty, or holding a number of minutes) ends training early, after the rate has fallen. The model is
    in `output/model`, and in `settings.export` where that is set, from the first interval on.

    Raises ConfigError when `output` holds a run with other settings, or CUDA is asked for and absent.
    """
    device = choose_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    output.mkdir(parents=True, exist_ok=True)
    earlier_recipe = start_recipe(settings)
    plays = archive(output / "plays.jsonl", settings.plays_recorded, settings.seed)
    tokenizer = tokenizer_of(settings, output / "tokenizer", plays)
    torch.manual_seed(settings.seed)
    model = make_model(settings, tokenizer)
    model.to(device)  # type: ignore[arg-type]
    training = Training(model, settings, output)
    if training.resume():
        log.info("pretrain: going on at step %d of the run in %s", training.progress.step, output)
    else:
        training.begin_log(Path(settings.start) / LOG if settings.start else None)
    data_hash = corpus_hash(settings, plays)
    earlier = earlier_data(output / "data_hashes.json", data_hash)
    probes = narration_probes(tokenizer, 64) + general_probes(tokenizer, 300)
    targets = [output / "model"] + ([Path(settings.export)] if settings.export else [])

    found: dict[str, Any] = {}

    def export() -> dict[str, Any]:
        model, results = better_weights(training, probes, tokenizer.pad_token_id)
        progress = training.progress
        record = recipe_record(
            settings,
            data_hash,
            earlier_data_hashes=earlier,
            parameters=sum(weight.numel() for weight in model.parameters()),
            step=progress.step,
            tokens=progress.tokens,
            training_seconds=round(progress.seconds),
            device=str(device),
            probes=results,
            **({"started_from": earlier_recipe} if earlier_recipe else {}),
            **found,
        )
        training.write_log({"step": progress.step, "tokens": progress.tokens, "probes": results})
        for directory in targets:
            export_model(model, tokenizer, directory, record, training.log_path)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in results.items() if name.count("/") < 2)
        log.info("pretrain: exported to %s (%s)", ", ".join(map(str, targets)), shown)
        return record

    training.run(batches(settings, tokenizer, plays, skip=training.progress.step), export)
    if settings.contamination_documents:
        found["contamination"] = contamination(settings, plays, settings.contamination_documents)
        log.info("pretrain: evaluated samples in the training text: %s", json.dumps(found["contamination"]))
    record = export()
    write_curves(training.log_path, output / "training.png")
    return record


def earlier_data(path: Path, data_hash: str) -> list[str]:
    """Hashes of other texts that this run was trained on before, because the generators changed in between."""
    hashes: list[str] = json.loads(path.read_text()) if path.exists() else []
    earlier = [known for known in hashes if known != data_hash]
    if earlier:
        log.warning("pretrain: the generated text is not the one this run began with; the recipe will tell")
    path.write_text(json.dumps([*earlier, data_hash]))
    return earlier


def choose_device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("job.device=cuda: no CUDA device is there; use auto or cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def start_recipe(settings: PretrainSettings) -> dict[str, Any] | None:
    """How the model of `job.start` was made, with what it was made from itself. Raises ConfigError where there is none
    that this job made."""
    if settings.start is None:
        return None
    path = Path(settings.start) / RECIPE
    try:
        recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"job.start={settings.start}: {path} cannot be read ({error}); give the directory of a model that "
            "job=pretrain made, or null"
        ) from error
    return recipe


def make_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The model of `job.start`; else a Llama with weights drawn from torch's generator and, where asked for, heads
    that copy. Raises ConfigError where the model of `job.start` has another shape than the settings."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.context_length,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta},
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    if settings.start is not None:
        return _started(settings.start, config)
    model = LlamaForCausalLM(config)
    scale_embeddings(model)
    if settings.copying_heads:
        write_copying_heads(model, settings.seed)
    return model


def _started(directory: str, wanted: LlamaConfig) -> LlamaForCausalLM:
    model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    for name in (
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("max_position_embeddings", "rope_parameters"),
    ):
        there, asked = getattr(model.config, name), getattr(wanted, name)
        if there != asked:
            raise ConfigError(f"job.start={directory}: its {name} is {there}, the settings ask for {asked}")
    model.train()
    return model


def tokenizer_of(settings: PretrainSettings, directory: Path, recorded: list[Play]) -> PreTrainedTokenizerFast:
    """The run's tokenizer: that of `job.start`, or read from `directory`, or trained on the settings' text and written
    there."""
    if settings.start is not None:
        return load_tokenizer(Path(settings.start))
    if (directory / "tokenizer.json").exists():
        return load_tokenizer(directory)
    log.info("pretrain: training the tokenizer")
    plays = [episode(Random(f"phrases:{settings.seed}:{i}"), "train") for i in range(settings.tokenizer_documents // 4)]
    lines = [line for play in plays for turn in play.turns for line in (turn.observation, turn.thought, turn.action)]
    # Documents from after the start of the run, where the kinds of text have their final shares.
    first = settings.drill_documents
    texts = [plain_text(document(settings, first + i, recorded)) for i in range(settings.tokenizer_documents)]
    # These must become tokens of their own, however rare they are in the text.
    words = [f" {word}" for word in (*HOUSEHOLD, *PROMPT_WORDS)]
    words += [case for word in LABELS for case in (word, word.upper())]
    tokenizer = train_tokenizer(texts + words * 300, frequent_phrases(lines, PHRASES), settings.vocabulary)
    tokenizer.model_max_length = settings.context_length
    tokenizer.save_pretrained(directory)
    return tokenizer


def better_weights(training: Training, probes: list[Probe], pad: int) -> tuple[LlamaForCausalLM, dict[str, float]]:
    """The current weights or their moving average, whichever has the lower loss on the probes."""
    averaged = copy.deepcopy(training.model)
    averaged.load_state_dict(training.average.weights, strict=False)
    results = {model: evaluate(model, probes, pad) for model in (averaged, training.model)}
    best = min(results, key=lambda model: results[model]["loss"])
    rounded = {name: round(value, 4) for name, value in results[best].items()}
    return best, {**rounded, "averaged": float(best is averaged)}
