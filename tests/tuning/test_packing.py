"""Passes: grouping, packing, the tensors; and the parity of packed and padded passes in loss and gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from agentx.conversation import Conversation
from agentx.errors import ConfigError
from agentx.models.rendering import Renderer
from agentx.tuning.data import PassDataset, TuningPlan
from agentx.tuning.examples import Example, make_examples
from agentx.tuning.loss import check_packing, split_head, step_loss, trained_nll
from agentx.tuning.packing import Pass, collate, deal_rows, group_by_length, pack_rows, passes_needed, round_up
from agentx.tuning.settings import TuningSettings

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=24)


def example(length: int, start: int = 0) -> Example:
    ids = np.arange(start, start + length, dtype=np.int32)
    trained = np.arange(length) % 3 == 1
    return Example(f"e{start}", ids, trained)


@settings(max_examples=80, deadline=None)
@given(lengths=LENGTHS, budget=st.integers(1, 1000), data=st.data())
def test_groups_hold_every_example_once_within_the_budget(lengths: list[int], budget: int, data: st.DataObject) -> None:
    needed = passes_needed(lengths, budget)
    groups = data.draw(st.integers(needed, len(lengths)))
    made = group_by_length(lengths, groups, budget)
    assert len(made) == groups and all(made)
    assert sorted(index for group in made for index in group) == list(range(len(lengths)))
    for group in made:
        assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= budget


def test_groups_pad_as_little_as_can_be() -> None:
    lengths = [10, 100, 11, 101, 12, 300]
    made = group_by_length(lengths, 3)
    assert sorted(sorted(lengths[index] for index in group) for group in made) == [[10, 11, 12], [100, 101], [300]]
    with pytest.raises(ValueError, match="2 examples cannot fill 3 passes"):
        group_by_length([5, 5], 3)


@settings(max_examples=80, deadline=None)
@given(lengths=LENGTHS, capacity=st.integers(1, 400))
def test_packed_rows_hold_every_example_once_within_the_capacity(lengths: list[int], capacity: int) -> None:
    rows = pack_rows(lengths, capacity)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    for row in rows:
        assert len(row) == 1 or sum(lengths[index] for index in row) <= capacity
    for passes in range(1, len(lengths) + 1):
        dealt = deal_rows(rows, passes)
        assert len(dealt) == passes and all(dealt)
        assert sorted(i for part in dealt for row in part for i in row) == list(range(len(lengths)))


def test_best_fit_fills_rows() -> None:
    rows = pack_rows([60, 50, 50, 40], 100)
    assert sorted(sorted(row) for row in rows) == [[0, 3], [1, 2]]


def test_tensors_of_a_packed_pass() -> None:
    examples = [example(4, 10), example(3, 20), example(2, 30)]
    weights = np.array([0.5, 0.25, 0.125])
    batch = collate(examples, [[0, 2], [1]], weights, np.array([True, False, False]), padding=99)
    assert batch.ids.tolist() == [[10, 11, 12, 13, 30, 31], [20, 21, 22, 99, 99, 99]]
    assert batch.positions is not None
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 1], [0, 1, 2, 0, 1, 2]]
    assert batch.weights.tolist() == [[0, 0.5, 0, 0, 0, 0.125], [0, 0.25, 0, 0, 0, 0]]
    assert batch.agent.tolist() == [[True] * 4 + [False] * 2, [False] * 6]
    assert collate(examples, [[0], [1]], weights, np.zeros(3, bool)).positions is None


@pytest.fixture
def small(model_directory: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(model_directory, dtype=torch.float32).train()


def gradient(model: LlamaForCausalLM, passes: list[Pass], chunk: int = 0) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    decoder, head = split_head(model)
    total = 0.0
    for batch in passes:
        loss = step_loss(trained_nll(decoder, batch, head, chunk), batch)
        loss.backward()
        total += loss.item()
    return total, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def plan(agent: list[Conversation], general: list[Conversation], renderer: Renderer, **options) -> TuningPlan:
    values = {"steps": 4, "batch_size": 8, "max_length": 256, "tokens_per_pass": 512, **options}
    sets = [make_examples(conversations, renderer, 256) for conversations in (agent, general)]
    return TuningPlan(sets[0], sets[1], 0.5, TuningSettings(**values), seed=5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_and_padded_passes_have_the_same_loss_and_gradient(
    small: LlamaForCausalLM,
    agent: list[Conversation],
    general: list[Conversation],
    renderer: Renderer,
    attention: str,
) -> None:
    small.set_attn_implementation(attention)
    padded = plan(agent, general, renderer)
    packed = plan(agent, general, renderer, packing=True)
    assert any(b.positions is not None for b in packed.make_passes(0, 0, 1, packed.passes()))
    loss, grad = gradient(small, padded.make_passes(0, 0, 1, padded.passes()))
    loss_packed, grad_packed = gradient(small, packed.make_passes(0, 0, 1, packed.passes()))
    assert loss_packed == pytest.approx(loss, rel=1e-4)
    assert torch.cosine_similarity(grad, grad_packed, dim=0) >= 0.9999
    assert torch.norm(grad - grad_packed) <= 1e-4 * torch.norm(grad)


@pytest.mark.parametrize("attention", ["flex_attention", "flash_attention_2"])
def test_packed_and_padded_passes_agree_on_a_gpu(
    small: LlamaForCausalLM,
    agent: list[Conversation],
    general: list[Conversation],
    renderer: Renderer,
    attention: str,
) -> None:
    """These kernels have no backward pass on a CPU, and need heads of at least 16 numbers."""
    if not torch.cuda.is_available():
        pytest.skip(f"{attention} has no backward pass without a GPU")
    if attention == "flash_attention_2":
        pytest.importorskip("flash_attn")
    config = LlamaConfig(
        vocab_size=400, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to("cuda", torch.bfloat16 if attention.startswith("flash") else torch.float32)
    reference = LlamaForCausalLM(config).to(model.device, model.dtype)
    reference.load_state_dict(model.state_dict())
    reference.set_attn_implementation("sdpa")
    model.set_attn_implementation(attention)
    padded, packed = plan(agent, general, renderer), plan(agent, general, renderer, packing=True)
    loss, grad = gradient(reference, [on(b, model.device) for b in padded.make_passes(0, 0, 1, padded.passes())])
    loss_packed, grad_packed = gradient(
        model, [on(b, model.device) for b in packed.make_passes(0, 0, 1, packed.passes())]
    )
    exact = model.dtype == torch.float32
    assert loss_packed == pytest.approx(loss, rel=1e-4 if exact else 1e-2)
    assert torch.cosine_similarity(grad.float(), grad_packed.float(), dim=0) >= (0.9999 if exact else 0.999)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_packs_without_leaks_on_a_cpu_too() -> None:
    """Forward only, uncompiled: it has no backward pass there."""
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).requires_grad_(False)
    examples, weights, agent = [example(20), example(28, 25)], np.array([0.5, 0.25]), np.array([True, False])
    apart, packed = (collate(examples, rows, weights, agent) for rows in ([[0], [1]], [[0, 1]]))

    def loss(batch: Pass) -> float:
        decoder, head = split_head(model)
        return step_loss(trained_nll(decoder, batch, head), batch).item()

    model.set_attn_implementation("sdpa")
    reference = loss(apart)
    model.set_attn_implementation("flex_attention")
    with torch.compiler.set_stance("force_eager"):
        assert loss(packed) == pytest.approx(reference, rel=1e-5)
        packed.positions = None
        assert abs(loss(packed) - reference) > 1e-4 * reference


def on(batch: Pass, device: torch.device) -> Pass:
    positions = None if batch.positions is None else batch.positions.to(device)
    return Pass(batch.ids.to(device), positions, batch.weights.to(device), batch.agent.to(device))


def test_the_parity_test_would_see_a_leak(
    small: LlamaForCausalLM, agent: list[Conversation], general: list[Conversation], renderer: Renderer
) -> None:
    packed = plan(agent, general, renderer, packing=True)
    passes = packed.make_passes(0, 0, 1, packed.passes())
    loss, _ = gradient(small, passes)
    for batch in passes:
        batch.positions = None
    leaking, _ = gradient(small, passes)
    assert abs(leaking - loss) > 1e-3 * loss


@pytest.mark.parametrize(("accumulate", "world_size"), [(8, 1), (4, 1), (1, 1), (2, 2), (1, 4)])
@pytest.mark.parametrize("mixing", ["sampling", "loss_weight"])
def test_gradient_of_a_step_does_not_depend_on_passes_and_ranks(
    small: LlamaForCausalLM,
    agent: list[Conversation],
    general: list[Conversation],
    renderer: Renderer,
    accumulate: int,
    world_size: int,
    mixing: str,
) -> None:
    reference = plan(agent, general, renderer, accumulate=2, mixing=mixing)
    divided = plan(agent, general, renderer, accumulate=accumulate, mixing=mixing)
    loss, grad = gradient(small, reference.make_passes(1, 0, 1, 2))
    parts = [b for rank in range(world_size) for b in divided.make_passes(1, rank, world_size, accumulate)]
    assert len(parts) == accumulate * world_size
    loss_divided, grad_divided = gradient(small, parts)
    assert loss_divided == pytest.approx(loss, rel=1e-5)
    assert torch.allclose(grad, grad_divided, rtol=1e-5, atol=1e-5 * float(grad.abs().max()))


def test_loss_is_the_librarys_own(small: LlamaForCausalLM) -> None:
    """One conversation alone: the mean over its trained tokens, as transformers computes it from labels."""
    whole = example(40, 7)
    batch = collate([whole], [[0]], np.array([1 / whole.trained_tokens]), np.array([True]))
    labels = torch.where(torch.from_numpy(whole.trained), batch.ids[0], -100).view(1, -1)
    expected = small(input_ids=batch.ids, labels=labels).loss.item()
    loss, grad = gradient(small, [batch])
    assert loss == pytest.approx(expected, rel=1e-5)
    _, chunked = gradient(small, [batch], chunk=5)
    assert torch.allclose(grad, chunked, atol=1e-6)


def test_a_head_that_scales_its_logits_is_not_split(small: LlamaForCausalLM) -> None:
    assert split_head(small)[1] is not None
    forward = small.forward

    def capped(**inputs):
        output = forward(**inputs)
        output.logits = 5 * torch.tanh(output.logits / 5)
        return output

    small.forward = capped  # type: ignore[method-assign]
    whole, head = split_head(small)
    assert whole is small and head is None


def test_a_model_that_ignores_where_positions_restart_is_refused(small: LlamaForCausalLM) -> None:
    check_packing(small)
    forward = small.forward
    small.forward = lambda position_ids=None, **inputs: forward(**inputs)  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"tuning.packing=true: .*see each other"):
        check_packing(small)


def test_ranks_share_the_stream_without_overlap_whatever_their_number(
    agent: list[Conversation], general: list[Conversation], renderer: Renderer
) -> None:
    made = plan(agent, general, renderer)
    for world_size in (1, 2, 4):
        for step in range(made.steps):
            shares = [made.share(step, rank, world_size) for rank in range(world_size)]
            merged = np.stack(shares, axis=1).ravel()
            assert np.array_equal(merged, made.indices[step * 8 : (step + 1) * 8])


def test_passes_come_in_order_and_counts_add_up(
    agent: list[Conversation], general: list[Conversation], renderer: Renderer
) -> None:
    made = plan(agent, general, renderer)
    passes = made.passes()
    dataset = PassDataset(made, 0, 1, passes)
    batches = [dataset[index] for index in range(len(dataset))]
    assert len(batches) == made.steps * passes
    realised = made.realised()
    agent_tokens = sum(int(((b.weights > 0) & b.agent).sum()) for b in batches)
    general_tokens = sum(int(((b.weights > 0) & ~b.agent).sum()) for b in batches)
    assert (realised.agent_tokens, realised.general_tokens) == (agent_tokens, general_tokens)
    assert realised.agent_examples + realised.general_examples == 4 * 8
    for step in range(made.steps):
        total = sum(float(b.weights.sum()) for b in batches[step * passes : (step + 1) * passes])
        assert total == pytest.approx(1, rel=1e-5)


def test_an_epoch_is_as_many_draws_as_examples(
    agent: list[Conversation], general: list[Conversation], renderer: Renderer
) -> None:
    assert plan(agent, general, renderer, steps=None, epochs=2, batch_size=10).steps == 2 * (40 + 30) // 10


@pytest.mark.parametrize("packing", [False, True])
def test_in_16_bits_rows_are_of_few_lengths_and_the_same_loss(
    agent: list[Conversation], general: list[Conversation], renderer: Renderer, small: LlamaForCausalLM, packing: bool
) -> None:
    options = {"packing": packing, "max_length": 150, "tokens_per_pass": 600}
    losses = []
    for precision in ("fp32", "bf16"):
        made = plan(agent, general, renderer, precision=precision, **options)
        passes = [p for step in range(made.steps) for p in made.make_passes(step, 0, 1, made.passes())]
        lengths = {p.ids.shape[1] for p in passes}
        rounded = all(length % 32 == 0 or length == 150 for length in lengths)
        assert rounded == (precision == "bf16") and max(lengths) <= 150
        assert packing or all(p.ids.numel() <= 600 for p in passes)
        with torch.no_grad():
            losses.append(sum(float(step_loss(trained_nll(small, p, None), p)) for p in passes))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@given(st.integers(0, 300), st.integers(1, 64), st.integers(0, 300))
def test_rounding_up_keeps_to_the_limit_and_never_cuts(length: int, multiple: int, limit: int) -> None:
    made = round_up(length, multiple, limit)
    assert length <= made <= max(length, limit)
    assert made % multiple == 0 or made == max(length, limit)
