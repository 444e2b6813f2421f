"""Models that run in this process' own vLLM engine: tokens of our renderer in, tokens out."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentx.conversation import Message
from agentx.errors import ConfigError, UserError
from agentx.models.chat import BackendError, Completion, Request, Sampling, room_for_reply
from agentx.models.choices import ChoiceTokens
from agentx.models.loading import end_tokens, first_line, load_renderer
from agentx.models.rendering import Renderer
from agentx.models.sampling import cut_at_stop
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.vllm_options import engine_options, environment, has_gpu

HOW_TO_INSTALL = (
    "backend=vllm: vLLM is not installed in this environment. With a GPU: pip install -e '.[vllm]' in an environment "
    "of its own; on a CPU: make vllm. Then start run.py with that environment's python, e.g. .venv-vllm/bin/python "
    "run.py backend=vllm"
)


def open_vllm(model: ModelSettings, backend: BackendSettings, adapter: str | Path | None) -> VLLMModel:
    """Start an engine for `model`, with `adapter` on it. Takes half a minute and more. Raises UserError."""
    gpu = has_gpu()
    os.environ.update(environment(gpu=gpu))
    # Hundreds of lines at each start otherwise, in between the results.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    try:
        from vllm import AsyncEngineArgs
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        if error.name == "vllm":
            raise UserError(HOW_TO_INSTALL) from error
        raise UserError(f"backend=vllm: vLLM cannot be imported here ({first_line(error)})") from error
    _refuse_several_processes()
    renderer = load_renderer(model, adapter)
    options = engine_options(model, backend, {} if adapter is None else {"adapter": Path(adapter)}, gpu=gpu)
    try:
        engine = AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                **options, disable_log_stats=True, logits_processors=["agentx.models.vllm_choices:ChoiceProcessor"]
            )
        )
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        raise UserError(
            f"backend=vllm: the engine for {model.name} does not start ({first_line(error)}); VLLM_LOGGING_LEVEL=INFO "
            "shows more, less memory is taken with a lower model.context_length or backend.gpu_memory_utilization"
        ) from error
    lora = None if adapter is None else LoRARequest("adapter", 1, str(Path(adapter).resolve()))
    ends = renderer.end_token_ids | end_tokens(model)
    return VLLMModel(model.name, renderer, engine, ends, options["max_model_len"], lora)


def _refuse_several_processes() -> None:
    """Each process would start an engine of its own on the same GPU."""
    import torch

    if (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    ):
        raise ConfigError(
            "trainer.devices: backend=vllm shares its GPUs itself; set trainer=gpu and backend.tensor_parallel_size to "
            "their number"
        )


class VLLMModel:
    """A ChatModel over vLLM's `AsyncLLM`. Calls come from one event loop. `lora`: the adapter's LoRARequest."""

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        engine: Any,
        end_token_ids: frozenset[int],
        context_length: int,
        lora: Any = None,
    ) -> None:
        self.name = name
        self.renderer = renderer
        self.engine = engine
        self.end_token_ids = end_token_ids
        self.context_length = context_length
        self._lora = lora
        self._number = itertools.count()

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        started = time.perf_counter()
        prompt = self.renderer.prompt(messages)
        choices = self.renderer.choices(sampling.choices) if sampling.choices else None
        room = room_for_reply(self, len(prompt), choices.longest if choices else 1)
        parameters = self._parameters(sampling, request.seed, room, choices)
        output = await self._last_output(prompt, parameters)
        (reply,) = output.outputs
        ids = list(reply.token_ids)
        return Completion(
            text=self._text(ids, sampling, choices),
            prompt_tokens=len(prompt),
            completion_tokens=len(ids),
            cached_tokens=output.num_cached_tokens or 0,
            finish_reason="stop" if choices else reply.finish_reason or "stop",
            seconds=time.perf_counter() - started,
        )

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self.renderer.count_tokens(messages)

    async def close(self) -> None:
        """End the engine and its processes; nothing can be asked afterwards."""
        engine, self.engine = self.engine, None
        if engine is None:
            return
        if engine.output_handler is not None:  # it would take the end of the processes for a failure, and log it
            engine.output_handler.cancel()
            await asyncio.gather(engine.output_handler, return_exceptions=True)
        await asyncio.to_thread(engine.shutdown)
        # Its destructor would do so again when the interpreter ends, when vLLM's modules are gone already.
        engine.shutdown = lambda timeout=None: None

    def _parameters(self, sampling: Sampling, seed: int, room: int, choices: ChoiceTokens | None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        from agentx.models.vllm_choices import ARGUMENT

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=choices.longest if choices else min(sampling.max_tokens, room),
            seed=seed,
            stop=list(sampling.stop) if not choices else None,
            stop_token_ids=sorted(self.end_token_ids),
            # Text is made by our own decoder; vLLM needs one only to look for stop strings.
            detokenize=bool(sampling.stop) and not choices,
            extra_args={ARGUMENT: [list(ids) for ids in choices.sequences.values()]} if choices else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    async def _last_output(self, prompt: list[int], parameters: Any) -> Any:
        from vllm import TokensPrompt

        last = None
        stream = self.engine.generate(
            TokensPrompt(prompt_token_ids=prompt), parameters, f"agentx-{next(self._number)}", lora_request=self._lora
        )
        try:
            # Leaving early (a cancelled call) ends the request in the engine as well.
            async with contextlib.aclosing(stream):
                async for output in stream:
                    last = output
        except Exception as error:
            cause = error.__cause__ or error
            raise BackendError(f"{self.name} in vLLM: {type(cause).__name__}: {first_line(_plain(cause))}") from error
        if last is None or not last.finished:
            raise BackendError(f"{self.name} in vLLM: the engine ended the request without an answer")
        return last

    def _text(self, ids: list[int], sampling: Sampling, choices: ChoiceTokens | None) -> str:
        if choices is not None:
            chosen = choices.decided(ids)
            if chosen is None:
                raise BackendError(f"{self.name} in vLLM: a constrained reply is none of its choices")
            return chosen
        cut = cut_at_stop(ids, sampling.stop, self.renderer.decode) if sampling.stop else None
        return self.renderer.decode(ids) if cut is None else cut


def _plain(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else Exception(str(error))
