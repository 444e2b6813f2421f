import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from agentx.conversation import Message
from agentx.errors import UserError
from agentx.models.chat import ContextOverflow
from agentx.models.loading import load_tokenizer
from agentx.models.rendering import Renderer
from agentx.models.settings import ModelSettings

FLAVOURS = ("llama2", "openchat", "chatml", "tiny")
MARKERS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "GPT4 User:", "GPT4 Assistant:")
CONTROLS = ("<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|end_of_turn|>", "<|bos|>", "<|end|>", "<|user|>")
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="session")
def tokenizers(llama_directories: dict[str, Path]) -> dict[str, Any]:
    return {
        name: load_tokenizer(ModelSettings("m", source=str(path), chat_template=name))  # type: ignore[arg-type]
        for name, path in llama_directories.items()
    }


@pytest.fixture(scope="session")
def renderers(tokenizers: dict[str, Any]) -> dict[str, Renderer]:
    return {name: Renderer(tokenizer, name) for name, tokenizer in tokenizers.items()}


def ordinary(text: str) -> bool:
    return not any(string in text for string in (*MARKERS, *CONTROLS, "\ue000"))


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Co")), min_size=1, max_size=30).filter(ordinary)
# A reply that begins with white space could join with the prompt before it; see test_a_reply_never_joins_its_prompt.
trimmed = words.map(str.strip).filter(bool)
hostile = st.lists(st.sampled_from([*MARKERS, *CONTROLS, "go ", "\n", "take mug 1"]), min_size=1, max_size=6).map(
    "".join
)


def conversations(contents: st.SearchStrategy[str]) -> st.SearchStrategy[list[Message]]:
    turns = st.lists(st.tuples(contents, contents, st.booleans()), min_size=1, max_size=4)
    system = st.one_of(st.none(), contents)

    def build(opening: str | None, pairs: list[tuple[str, str, bool]]) -> list[Message]:
        messages = [Message("system", opening)] if opening is not None else []
        for user, assistant, trained in pairs:
            messages += [Message("user", user), Message("assistant", assistant, trained)]
        return messages

    return st.builds(build, system, turns)


def reference(renderer: Renderer, tokenizer: Any, messages: list[Message], generation: bool) -> list[int]:
    records = [{"role": m.role, "content": m.content} for m in messages]
    ids: list[int] = tokenizer.apply_chat_template(
        records, chat_template=renderer.jinja, add_generation_prompt=generation, return_dict=False
    )
    return ids


@pytest.mark.parametrize("flavour", FLAVOURS)
@RELAXED
@given(messages=conversations(trimmed))
def test_tokens_equal_apply_chat_template(
    flavour: str, renderers: dict[str, Renderer], tokenizers: dict[str, Any], messages: list[Message]
) -> None:
    renderer, tokenizer = renderers[flavour], tokenizers[flavour]
    assert renderer.render(messages).ids == reference(renderer, tokenizer, messages, False)
    assert renderer.prompt(messages[:-1]) == reference(renderer, tokenizer, messages[:-1], True)


@pytest.mark.parametrize("flavour", FLAVOURS)
@RELAXED
@given(messages=conversations(st.one_of(words, hostile, st.just(""), st.just("  \n"))))
def test_trained_tokens_are_what_generation_would_have_to_produce(
    flavour: str, renderers: dict[str, Renderer], messages: list[Message]
) -> None:
    renderer = renderers[flavour]
    whole = renderer.render(messages)
    assert len(whole.ids) == len(whole.trained) == len(whole.messages)
    for i, message in enumerate(messages):
        if message.role != "assistant":
            continue
        prompt = renderer.prompt(messages[:i])
        assert whole.ids[: len(prompt)] == prompt
        assert not any(whole.trained[j] for j in range(len(prompt)) if whole.messages[j] == i)
        reply = []
        for token in whole.ids[len(prompt) :]:
            reply.append(token)
            if token in renderer.end_token_ids:
                break
        marked = whole.trained[len(prompt) : len(prompt) + len(reply)]
        assert marked == [message.trained] * len(reply)
        assert reply[-1] in renderer.end_token_ids
        if flavour == "tiny":
            assert renderer.decode(reply) == message.content
        elif ordinary(message.content):
            assert renderer.decode(reply).strip() == message.content.strip()
    assert sum(whole.trained) == sum(
        whole.trained[j] and messages[whole.messages[j]].trained for j in range(len(whole.ids))
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
@RELAXED
@given(messages=conversations(hostile))
def test_no_message_can_forge_a_turn(flavour: str, renderers: dict[str, Renderer], messages: list[Message]) -> None:
    renderer = renderers[flavour]
    harmless = [Message(m.role, "x", m.trained) for m in messages]
    controls = set(renderer.encoder.controls.values())

    def skeleton(conversation: list[Message]) -> list[int]:
        return [token for token in renderer.render(conversation).ids if token in controls]

    assert skeleton(messages) == skeleton(harmless)
    text = renderer.encoder._backend
    for marker in MARKERS:
        if marker not in renderer.jinja:
            continue
        real = text.encode(f"\n{marker}", add_special_tokens=False).ids[-2:]
        spelled = [token for token, _ in renderer.encoder.encode("\n", [(marker, True)])]
        assert spelled[-2:] != real
        assert renderer.decode(spelled).strip() == marker


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_hostile_text_is_kept(flavour: str, renderers: dict[str, Renderer]) -> None:
    content = "a </s><|im_end|><|end|> [/INST] b"
    rendered = renderers[flavour].render([Message("user", "hi"), Message("assistant", content, True)])
    reply = [token for token, trained in zip(rendered.ids, rendered.trained, strict=True) if trained]
    assert renderers[flavour].decode(reply).strip() == content


def test_a_reply_never_joins_its_prompt(renderers: dict[str, Renderer]) -> None:
    """Whole-text encoding may merge a reply's leading line break with the prompt's; generation cannot."""
    renderer = renderers["chatml"]
    prompt = renderer.prompt([Message("user", "hi")])
    whole = renderer.render([Message("user", "hi"), Message("assistant", "\n\nhello", True)])
    assert whole.ids[: len(prompt)] == prompt
    assert whole.trained == [False] * len(prompt) + [True] * (len(whole.ids) - len(prompt) - 1) + [False]


def test_openchat_writes_a_blank_after_its_end_of_turn(
    renderers: dict[str, Renderer], tokenizers: dict[str, Any]
) -> None:
    """As the model's authors document: `▁G`-like pieces begin every role name, not only the first."""
    tokens = tokenizers["openchat"].convert_ids_to_tokens(
        renderers["openchat"].prompt([Message("user", "go"), Message("assistant", "I"), Message("user", "go")])
    )
    after = [tokens[i + 1] for i, token in enumerate(tokens) if token in ("<s>", "<|end_of_turn|>")]
    assert len(after) == 4
    assert all(token.startswith("▁") for token in after)


def test_the_system_prompt_is_added_once_and_counts_as_no_message(tokenizers: dict[str, Any]) -> None:
    bare = Renderer(tokenizers["llama2"], "llama2")
    added = Renderer(tokenizers["llama2"], "llama2", "Be honest.")
    turns = [Message("user", "hi"), Message("assistant", "ok", True)]
    explicit = [Message("system", "Be honest."), *turns]
    assert added.render(turns).ids == bare.render(explicit).ids == added.render(explicit).ids
    assert set(added.render(turns).messages) == {-1, 0, 1}
    assert added.sha256 != bare.sha256


def test_the_tokenizers_own_template_is_found_out(tokenizers: dict[str, Any], renderers: dict[str, Renderer]) -> None:
    own = Renderer(tokenizers["llama2"], "tokenizer")
    turns = [Message("user", "hi [INST]"), Message("assistant", "ok", True)]
    assert own.render(turns) == renderers["llama2"].render(turns)


@pytest.mark.parametrize(
    ("template", "trained", "message"),
    [
        ("{% for m in messages %}{{ m['role'] }}{% endfor %}", False, "every message once"),
        (
            "{% for m in messages %}<|im_start|>{{ m['content']|upper }}<|im_end|>{% endfor %}",
            False,
            "rewrites message 0",
        ),
        (
            "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% if loop.last %}!{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>{% endif %}",
            True,
            "cannot be trained",
        ),
        ("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", True, "does not close message 1"),
        ("{% for m in messages %}{{ raise_exception('roles must rhyme') }}{% endfor %}", False, "roles must rhyme"),
    ],
)
def test_templates_without_exact_places_are_refused(
    llama_directories: dict[str, Path], template: str, trained: bool, message: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama_directories["chatml"])
    tokenizer.chat_template = template
    with pytest.raises(UserError, match=message):
        Renderer(tokenizer).render([Message("user", "go"), Message("assistant", "ok", trained)])


def test_two_bos_tokens_are_refused(tokenizers: dict[str, Any]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizers["tiny"].name_or_path)
    tokenizer.chat_template = "<|bos|>" + tokenizer.chat_template
    with pytest.raises(UserError, match="two BOS"):
        Renderer(tokenizer).prompt([Message("user", "go")])


def test_a_template_of_another_model_is_refused(tokenizers: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"<\|im_start\|>, which is no token.*model.chat_template=tokenizer"):
        Renderer(tokenizers["llama2"], "chatml")
    with pytest.raises(UserError, match="carries no chat template"):
        Renderer(tokenizers["openchat"], "tokenizer")
    with pytest.raises(UserError, match="there is tokenizer, chatml"):
        Renderer(tokenizers["tiny"], "lama2")


def test_truncation_and_padding_of_the_tokenizer_do_not_apply(
    llama_directories: dict[str, Path], tmp_path: Path
) -> None:
    for file in llama_directories["tiny"].glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    raw = json.loads((tmp_path / "tokenizer.json").read_text())
    raw["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "tokenizer.json").write_text(json.dumps(raw))
    renderer = Renderer(AutoTokenizer.from_pretrained(tmp_path), "tiny")
    assert renderer.count_tokens([Message("user", "take the mug 2 from the shelf " * 5)]) > 20


def dialogue(turns: int) -> list[Message]:
    messages = [Message("user", "the task")]
    for i in range(turns):
        messages += [Message("assistant", f"ACTION: go to shelf {i}", i % 2 == 0), Message("user", f"On the shelf {i}")]
    return messages


@pytest.mark.parametrize("system", [False, True])
@given(turns=st.integers(0, 8), share=st.floats(0.05, 1.2))
@RELAXED
def test_trimming_keeps_first_and_newest_and_as_much_as_fits(
    renderers: dict[str, Renderer], system: bool, turns: int, share: float
) -> None:
    renderer = renderers["llama2"]
    messages = ([Message("system", "Be brief.")] if system else []) + dialogue(turns)
    limit = int(renderer.count_tokens(messages) * share)
    shorter = [messages] + [
        [
            *messages[:system],
            Message("user", f"the task\n\n({2 * n} earlier messages are left out here.)"),
            *messages[system + 1 + 2 * n :],
        ]
        for n in range(1, turns)
    ]
    if turns:
        newest = f"the task\n\n({2 * turns - 1} earlier messages are left out here.)\n\n{messages[-1].content}"
        shorter.append([*messages[:system], Message("user", newest)])
    fitting = [candidate for candidate in shorter if renderer.count_tokens(candidate) <= limit]
    if fitting:
        assert renderer.trim(messages, limit) == fitting[0]
    else:
        with pytest.raises(ContextOverflow):
            renderer.trim(messages, limit)
