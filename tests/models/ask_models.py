"""Asks models what stands on standard input and prints what they answer, in whatever environment it is started.

In: {"runs", "command_lines"}. A run has model, backend, adapter and questions; a question has messages, sampling and
branch; a command line is what follows `vllm serve`. Out, after the line ANSWERS: "answers", a list for each run (the
completion's fields, or {"overflow": why}), and "parsed", the options that vLLM reads from each command line.
"""

import asyncio
import json
import sys
from dataclasses import asdict

from agentx.conversation import Message
from agentx.models.chat import ContextOverflow, Request, Sampling
from agentx.models.loading import open_model
from agentx.models.settings import BackendSettings, ModelSettings


async def ask(model, question):
    sampling = Sampling(**{name: tuple(v) if isinstance(v, list) else v for name, v in question["sampling"].items()})
    messages = [Message(role, content) for role, content in question["messages"]]
    try:
        answer = await model.generate(messages, sampling, Request(sample="parity", branch=question["branch"]))
    except ContextOverflow as error:
        return {"overflow": str(error)}
    return asdict(answer)


async def answer(runs):
    out, shared = [], None
    for run in runs:
        if shared is not None and run["adapter"] is None and run["backend"]["name"] == "vllm":
            # The same engine without the adapter: starting another takes half a minute.
            model = type(shared)(
                shared.name, shared.renderer, shared.engine, shared.end_token_ids, shared.context_length
            )
        else:
            model = open_model(ModelSettings(**run["model"]), BackendSettings(**run["backend"]), run["adapter"])
            if run["backend"]["name"] == "vllm":
                shared = model
        at_once = await asyncio.gather(*(ask(model, question) for question in run["questions"]))
        followed = [await ask(model, question) for question in run.get("one_by_one", [])]
        out.append([*at_once, *followed])
        if model is not shared and run["backend"]["name"] != "vllm":
            await model.close()
    if shared is not None:
        await shared.close()
    return out


def parse(words):
    """As `vllm serve` does."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    options = make_arg_parser(FlexibleArgumentParser()).parse_args(words)
    validate_parsed_serve_args(options)
    return {name: value for name, value in vars(options).items() if isinstance(value, str | int | float | list)}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    parsed = [parse(words) for words in asked["command_lines"]]
    out = {"parsed": parsed, "answers": asyncio.run(answer(asked["runs"]))}
    print("ANSWERS", json.dumps(out, default=str), sep="\n")
