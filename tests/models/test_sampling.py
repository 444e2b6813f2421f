import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.models.chat import Sampling
from agentx.models.sampling import choose, cut_at_stop


def test_frequencies_follow_temperature_and_top_p() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    stream = random.Random(3)
    n = 4000

    def frequencies(sampling: Sampling) -> torch.Tensor:
        drawn = choose(logits.repeat(n, 1), [sampling] * n, [stream.random() for _ in range(n)])
        return torch.bincount(torch.tensor(drawn), minlength=4) / n

    expected = (logits[0] / 0.7).softmax(-1)
    assert torch.allclose(frequencies(Sampling(temperature=0.7)), expected, atol=0.03)
    nucleus = logits[0].softmax(-1) * torch.tensor([1.0, 1.0, 0.0, 0.0])  # 0.64 + 0.24 first reach 0.8
    assert torch.allclose(frequencies(Sampling(temperature=1.0, top_p=0.8)), nucleus / nucleus.sum(), atol=0.03)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 30),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.floats(0.01, 1.0),
)
def test_a_row_gets_the_same_token_alone_and_in_company(
    vocabulary: int, rows: int, source: random.Random, temperature: float, top_p: float
) -> None:
    torch.manual_seed(source.randrange(2**31))
    logits = torch.randn(rows, vocabulary) * 3
    samplings = [Sampling(temperature if i % 2 else 0.0, top_p) for i in range(rows)]
    draws = [source.random() for _ in range(rows)]
    together = choose(logits, samplings, draws)
    assert together == [choose(logits[i : i + 1], [samplings[i]], [draws[i]])[0] for i in range(rows)]
    for i in range(0, rows, 2):
        assert together[i] == int(logits[i].argmax())


def test_tiny_top_p_is_greedy() -> None:
    logits = torch.tensor([[0.0, 0.1, 0.05]])
    for draw in (0.0, 0.5, 0.999999):
        assert choose(logits, [Sampling(1.0, 1e-9)], [draw]) == [1]


def decode(ids: list[int]) -> str:
    return "".join(map(chr, ids))


@given(st.text("abc", max_size=60), st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3))
def test_stop_strings_cut_at_the_first_occurrence(text: str, stop: list[str]) -> None:
    """Fed token by token, the first prefix in which a stop string appears ends the reply."""
    for n in range(1, len(text) + 1):
        found = cut_at_stop([ord(c) for c in text[:n]], stop, decode)
        positions = [text[:n].find(string) for string in stop if string in text[:n]]
        if positions:
            assert found == text[: min(positions)]
            return
        assert found is None


def test_stop_strings_are_found_at_the_end_of_long_replies() -> None:
    ids = [ord("a")] * 500 + [ord(c) for c in "\nOBS"]
    assert cut_at_stop(ids, ("\nOBS",), decode) == "a" * 500
    assert cut_at_stop(ids[:-1], ("\nOBS",), decode) is None


@pytest.mark.parametrize("draw", [0.0, 0.999999999])
def test_the_ends_of_the_distribution_are_tokens(draw: float) -> None:
    assert choose(torch.zeros(1, 5), [Sampling(1.0)], [draw])[0] in (0, 4)
