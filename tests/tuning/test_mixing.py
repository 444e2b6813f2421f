"""λ: the stream of draws and the weights of the loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.tuning.mixing import AGENT, GENERAL, Realised, draw, token_weights


@settings(max_examples=60, deadline=None)
@given(
    ratio=st.floats(0, 1),
    agent=st.integers(1, 30),
    general=st.integers(1, 30),
    draws=st.integers(1, 400),
    seed=st.integers(0, 2**31),
    mixing=st.sampled_from(["sampling", "loss_weight"]),
)
def test_sets_are_used_up_evenly_and_a_longer_stream_begins_alike(
    ratio: float, agent: int, general: int, draws: int, seed: int, mixing: str
) -> None:
    stream = draw(ratio, (agent, general), draws, seed, mixing)  # type: ignore[arg-type]
    for origin, size in ((AGENT, agent), (GENERAL, general)):
        items = stream.items[stream.origins == origin]
        for start in range(0, len(items), size):
            window = items[start : start + size]
            assert len(set(window.tolist())) == len(window), "an item came twice before the set was used up"
            assert window.min() >= 0 and window.max() < size
    longer = draw(ratio, (agent, general), draws + 100, seed, mixing)  # type: ignore[arg-type]
    assert np.array_equal(longer.origins[:draws], stream.origins)
    assert np.array_equal(longer.items[:draws], stream.items)


def test_the_order_changes_from_round_to_round_and_with_the_seed() -> None:
    items = draw(1.0, (50, 0), 100, seed=1).items
    assert not np.array_equal(items[:50], items[50:])
    assert not np.array_equal(items, draw(1.0, (50, 0), 100, seed=2).items)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.8])
def test_agent_data_comes_with_probability_lambda(ratio: float) -> None:
    share = (draw(ratio, (10, 10), 20_000, seed=7).origins == AGENT).mean()
    assert share == pytest.approx(ratio, abs=4 * np.sqrt(ratio * (1 - ratio) / 20_000))


def test_either_set_may_be_empty_where_lambda_leaves_it_out() -> None:
    assert set(draw(0.0, (0, 5), 100, seed=0).origins) == {GENERAL}
    assert set(draw(1.0, (5, 0), 100, seed=0).origins) == {AGENT}
    with pytest.raises(ValueError, match="empty set of agent data"):
        draw(0.1, (0, 5), 100, seed=0)
    with pytest.raises(ValueError, match="empty set of general data"):
        draw(0.9, (5, 0), 100, seed=0)


@settings(max_examples=60, deadline=None)
@given(ratio=st.floats(0.01, 0.99), tokens=st.lists(st.integers(1, 500), min_size=2, max_size=12))
def test_weights_of_a_step_add_up_to_one(ratio: float, tokens: list[int]) -> None:
    trained = np.array(tokens)
    origins = (np.arange(len(tokens)) % 2).astype(np.int8)
    even = token_weights(origins, trained, ratio, "sampling")
    assert (even * trained).sum() == pytest.approx(1) and len(set(even)) == 1
    weighted = token_weights(origins, trained, ratio, "loss_weight") * trained
    assert weighted[origins == AGENT].sum() == pytest.approx(ratio)
    assert weighted[origins == GENERAL].sum() == pytest.approx(1 - ratio)


def test_realised_shares_of_nothing_are_zero() -> None:
    assert Realised(0, 0, 0, 0).ratio_tokens == 0
    assert Realised(1, 3, 30, 10).ratio_examples == 0.25
    assert Realised(1, 3, 30, 10).ratio_tokens == 0.75
