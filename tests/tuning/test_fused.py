"""Fused adapters against peft's own layers: the same numbers forward and backward, and only where they are meant."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from agentx.tuning.fused import FusedLinear, fuse_adapters


def adapted(biased: bool = False, **options: Any) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
        attention_bias=biased,
    )  # fmt: skip
    model = get_peft_model(
        LlamaForCausalLM(config), LoraConfig(r=3, lora_alpha=7, target_modules="all-linear", **options)
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return model


def outcome(model: Any, kind: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """Logits, loss and every gradient; the second pass adds to the first one's gradients."""
    for start in (0, 3):
        ids = torch.arange(start, start + 14).view(2, 7)
        with torch.autocast("cpu", dtype=kind or torch.bfloat16, enabled=kind is not None):
            out = model(input_ids=ids, labels=ids)
        out.loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return {"logits": out.logits.detach(), "loss": out.loss.detach(), **gradients}


@pytest.mark.parametrize(
    "options", [{}, {"biased": True}, {"use_rslora": True}], ids=["plain", "base with biases", "rsLoRA"]
)
def test_the_same_numbers_as_peft(options: dict[str, Any]) -> None:
    peft = adapted(**options).double()
    ours = copy.deepcopy(peft)
    assert fuse_adapters(ours) == 2 * 7
    expected, made = outcome(peft), outcome(ours)
    assert expected.keys() == made.keys() and len(made) == 2 + 2 * 2 * 7
    for name, value in expected.items():
        torch.testing.assert_close(made[name], value, rtol=1e-5, atol=1e-7, msg=lambda m, name=name: f"{name}: {m}")


def test_under_autocast_as_near_to_full_precision_as_peft() -> None:
    exact = outcome(adapted())
    peft, ours = adapted(), adapted()
    fuse_adapters(ours)
    apart = []
    for model in (peft, ours):
        found = outcome(model, torch.bfloat16)
        assert found["logits"].dtype == outcome(adapted(), torch.bfloat16)["logits"].dtype
        apart.append(sum(float((found[name].float() - exact[name]).norm()) for name in exact))
    assert apart[1] < 1.2 * apart[0] and apart[1] > 0


def test_differentiable_as_a_function_of_input_and_adapter() -> None:
    from agentx.tuning.fused import AdaptedLinear

    torch.manual_seed(1)
    x, weight, bias, down, up = (
        torch.randn(shape, dtype=torch.float64, requires_grad=trained)
        for shape, trained in (((2, 5, 4), True), ((6, 4), False), ((6,), False), ((2, 4), True), ((6, 2), True))
    )
    assert torch.autograd.gradcheck(
        lambda x, down, up: AdaptedLinear.apply(x, weight, bias, down, up, 0.7), (x, down, up)
    )


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize("options", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True, "biased": True}])
def test_layers_with_more_to_them_stay_pefts(options: dict[str, Any]) -> None:
    model = adapted(**options)
    fuse_adapters(model)
    of_attention = [module for name, module in model.named_modules() if name.endswith("q_proj")]
    assert of_attention and all(type(module) is Linear for module in of_attention)


def test_switched_off_and_merged_adapters_are_left_out() -> None:
    model = adapted()
    ids = torch.arange(7).view(1, 7)
    with torch.no_grad():
        tuned = model(input_ids=ids).logits
        with model.disable_adapter():
            base = model(input_ids=ids).logits
        fuse_adapters(model)
        assert any(isinstance(module, FusedLinear) for module in model.modules())
        with model.disable_adapter():
            torch.testing.assert_close(model(input_ids=ids).logits, base)
        model.merge_adapter()
        torch.testing.assert_close(model(input_ids=ids).logits, tuned, rtol=1e-4, atol=1e-4)
        model.unmerge_adapter()
        torch.testing.assert_close(model(input_ids=ids).logits, tuned, rtol=1e-4, atol=1e-4)


def test_it_compiles_whole() -> None:
    model = adapted()
    fuse_adapters(model)
    expected = outcome(model)["logits"]
    compiled = torch.compile(model.get_base_model().model, backend="aot_eager", fullgraph=True)
    ids = torch.arange(3, 17).view(2, 7)
    logits = model.get_base_model().lm_head(compiled(input_ids=ids, use_cache=False).last_hidden_state)
    torch.testing.assert_close(logits.detach(), expected)
