import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from agentx.conversation import Message
from agentx.errors import ConfigError, UserError
from agentx.models.chat import ChatModel, Completion, ContextOverflow, Request, Sampling
from agentx.models.loading import SHIPPED, load_renderer, open_model, source_of
from agentx.models.settings import BackendSettings, ModelSettings

BACKEND = BackendSettings(device="cpu", max_concurrency=8, cache_tokens=8192)
ASK = [Message("user", "go to the cabinet 1")]


def settings(directory: Path, template: str = "llama2", **options: Any) -> ModelSettings:
    return ModelSettings("random", source=str(directory), chat_template=template, **options)  # type: ignore[arg-type]


def ask(model: ChatModel, conversations: list[list[Message]], sampling: Sampling) -> list[Completion]:
    async def all_at_once() -> list[Completion]:
        calls = [model.generate(c, sampling, Request(sample=str(i))) for i, c in enumerate(conversations)]
        replies = await asyncio.gather(*calls)
        await model.close()
        return list(replies)

    return asyncio.run(all_at_once())


@pytest.fixture(scope="session")
def adapter(llama_directories: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter whose weights are random, so that it changes replies."""
    from peft import LoraConfig, get_peft_model

    directory = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(11)
    base = AutoModelForCausalLM.from_pretrained(llama_directories["llama2"], dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(directory)
    return directory


@pytest.mark.parametrize("template", ["llama2", "openchat", "chatml", "tiny"])
def test_a_model_on_disk_generates_with_its_template(llama_directories: dict[str, Path], template: str) -> None:
    model = open_model(settings(llama_directories[template], template), BACKEND)
    assert isinstance(model, ChatModel)
    assert model.context_length == 512
    prompt_tokens = model.count_tokens(ASK)
    (reply,) = ask(model, [ASK], Sampling(max_tokens=20))
    assert reply.prompt_tokens == prompt_tokens
    assert 1 <= reply.completion_tokens <= 20

    weights = AutoModelForCausalLM.from_pretrained(llama_directories[template], dtype=torch.float32)
    renderer = load_renderer(settings(llama_directories[template], template))
    generation = GenerationConfig(
        max_new_tokens=20, do_sample=False, eos_token_id=sorted(renderer.end_token_ids), pad_token_id=0
    )
    prompt = torch.tensor([renderer.prompt(ASK)])
    out = weights.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=generation)
    ids = out[0, prompt_tokens:].tolist()
    assert reply.text == renderer.decode(ids)


def test_adapters_change_replies_as_peft_does(llama_directories: dict[str, Path], adapter: Path) -> None:
    """In float32 the adapter is merged; greedy replies equal those of the unmerged peft model."""
    from peft import PeftModel

    where = settings(llama_directories["llama2"])
    conversations = [[Message("user", f"take the mug {i} from the shelf")] for i in range(6)]
    sampling = Sampling(max_tokens=20)
    base = ask(open_model(where, BACKEND), conversations, sampling)
    tuned = ask(open_model(where, BACKEND, adapter), conversations, sampling)
    named = ask(
        open_model(settings(llama_directories["llama2"], adapter=str(adapter)), BACKEND), conversations, sampling
    )
    assert [c.text for c in tuned] == [c.text for c in named] != [c.text for c in base]

    weights = AutoModelForCausalLM.from_pretrained(llama_directories["llama2"], dtype=torch.float32)
    unmerged = PeftModel.from_pretrained(weights, str(adapter)).eval()
    renderer = load_renderer(where)
    generation = GenerationConfig(
        max_new_tokens=20, do_sample=False, eos_token_id=sorted(renderer.end_token_ids), pad_token_id=0
    )
    for conversation, completion in zip(conversations, tuned, strict=True):
        prompt = torch.tensor([renderer.prompt(conversation)])
        out = unmerged.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=generation)
        ids = out[0, prompt.shape[1] :].tolist()
        assert completion.text == renderer.decode(ids)


def test_adapters_of_half_precision_models_stay_beside_the_weights(
    llama_directories: dict[str, Path], adapter: Path
) -> None:
    where = settings(llama_directories["llama2"], dtype="bfloat16")
    model = open_model(where, BACKEND, adapter)
    assert any("lora_A" in name for name, _ in model.engine._model.named_modules())  # type: ignore[attr-defined]
    (tuned,) = ask(model, [ASK], Sampling(max_tokens=20))
    (base,) = ask(open_model(where, BACKEND), [ASK], Sampling(max_tokens=20))
    assert tuned.text != base.text


def test_prompts_that_leave_no_room_overflow(llama_directories: dict[str, Path]) -> None:
    model = open_model(settings(llama_directories["llama2"], context_length=64, max_tokens=8), BACKEND)
    long = [Message("user", "apple bread " * 60)]
    with pytest.raises(ContextOverflow, match="of random's 64 tokens"):
        asyncio.run(model.generate(long, Sampling(), Request()))
    room = 64 - model.count_tokens(ASK)
    (reply,) = ask(model, [ASK], Sampling(max_tokens=500))
    assert reply.completion_tokens <= room


def test_a_cancelled_call_frees_its_place(llama_directories: dict[str, Path]) -> None:
    backend = BackendSettings(device="cpu", max_concurrency=1)
    model = open_model(settings(llama_directories["llama2"]), backend)

    async def cancel_then_ask() -> Completion:
        task = asyncio.create_task(model.generate(ASK, Sampling(max_tokens=400), Request()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.wait_for(model.generate(ASK, Sampling(max_tokens=2), Request()), 60)

    assert asyncio.run(cancel_then_ask()).completion_tokens <= 2
    asyncio.run(model.close())


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no model configuration"),
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", "no weights"),
    ],
)
def test_incomplete_directories_are_named(
    llama_directories: dict[str, Path], tmp_path: Path, missing: str, message: str
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(llama_directories["llama2"], broken)
    (broken / missing).unlink()
    with pytest.raises(UserError, match=f"model.source=.*{message}"):
        open_model(settings(broken), BACKEND)


def test_broken_files_give_one_line(llama_directories: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(llama_directories["llama2"], broken)
    (broken / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        open_model(settings(broken), BACKEND)
    assert "\n" not in str(caught.value)


def test_sources_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    gated = ModelSettings("llama2-7b", source="nobody/nothing", gated=True, licence="https://example.org/licence")
    with pytest.raises(UserError) as caught:
        open_model(gated, BACKEND)
    for part in ("model=llama2-7b", "nobody/nothing", "https://example.org/licence", "model.source=/path"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such directory"):
        source_of(ModelSettings("m", source=str(tmp_path / "absent")))
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="is a file"):
        source_of(ModelSettings("m", source=str(file)))
    with pytest.raises(UserError, match="no checkpoint of that name comes with"):
        source_of(ModelSettings("unheard-of"))


def test_adapters_that_do_not_belong(llama_directories: dict[str, Path], adapter: Path, tmp_path: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    for difference in ({"r": 8}, {"target_modules": ["nowhere"]}):
        other = tmp_path / str(difference)
        shutil.copytree(adapter, other)
        (other / "adapter_config.json").write_text(json.dumps({**config, **difference}))
        with pytest.raises(UserError, match="does not fit random"):
            open_model(settings(llama_directories["llama2"]), BACKEND, other)
    with pytest.raises(UserError, match=r"holds no adapter_config\.json"):
        open_model(settings(llama_directories["llama2"]), BACKEND, tmp_path)

    carded = tmp_path / "carded"
    shutil.copytree(adapter, carded)
    where = settings(llama_directories["llama2"])
    card = {"model": "random", "template": "llama2", "template_sha256": load_renderer(where).sha256}
    (carded / "agentx.json").write_text(json.dumps(card))
    asyncio.run(open_model(where, BACKEND, carded).close())
    with pytest.raises(UserError, match="was tuned with chat template 'llama2'"):
        open_model(settings(llama_directories["llama2"], system_prompt="Be brief."), BACKEND, carded)
    (carded / "agentx.json").write_text(json.dumps({**card, "model": "other"}))
    with pytest.raises(UserError, match="was tuned from other, not random; set model=other"):
        open_model(where, BACKEND, carded)


def test_options_that_do_not_go_together(llama_directories: dict[str, Path]) -> None:
    where = settings(llama_directories["llama2"])
    with pytest.raises(ConfigError, match=r"backend.cache_tokens=100: must hold one conversation of random, 512"):
        open_model(where, BackendSettings(device="cpu", cache_tokens=100))
    with pytest.raises(ConfigError, match=r"model.context_length=9999: random was made for at most 512"):
        open_model(settings(llama_directories["llama2"], context_length=9999), BACKEND)
    with pytest.raises(ConfigError, match="scripted player"):
        open_model(ModelSettings("expert", kind="expert"), BACKEND)
    with pytest.raises(ConfigError, match=r"set model.api_name"):
        open_model(where, BackendSettings(name="openai", base_url="http://localhost:1/v1"), "adapter")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"backend.device=cuda: torch finds no GPU"):
            open_model(where, BackendSettings(device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_generates_what_the_cpu_does(llama_directories: dict[str, Path]) -> None:
    where = settings(llama_directories["llama2"], dtype="float32")
    conversations = [[Message("user", f"take the mug {i} from the shelf")] for i in range(8)]
    sampling = Sampling(max_tokens=20)
    on_cpu = ask(open_model(where, BACKEND), conversations, sampling)
    on_gpu = ask(open_model(where, BackendSettings(device="cuda", cache_tokens=8192)), conversations, sampling)
    assert [c.text for c in on_gpu] == [c.text for c in on_cpu]


@pytest.mark.skipif(not (SHIPPED / "tiny" / "config.json").is_file(), reason="no checkpoint of tiny is shipped yet")
def test_the_shipped_model_opens_and_carries_the_template_it_is_prompted_with() -> None:
    tiny = ModelSettings("tiny", chat_template="tiny", max_tokens=96)
    conversation = [Message("user", "go to the <|end|> cabinet 1"), Message("assistant", "ACTION: look", True)]
    own = load_renderer(ModelSettings("tiny", chat_template="tokenizer", max_tokens=96))
    assert load_renderer(tiny).render(conversation) == own.render(conversation)
    (reply,) = ask(open_model(tiny, BACKEND), [ASK], Sampling(max_tokens=8))
    assert reply.completion_tokens >= 1
