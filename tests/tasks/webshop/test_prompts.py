from itertools import pairwise

import pytest

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.engine import Session, Shop
from agentx.tasks.webshop.prompts import opening
from agentx.tasks.webshop.reward import Goal
from agentx.tasks.webshop.store import ProductStore, build_store


def balm(asin, name, price, flavors):
    return Product(
        asin,
        name,
        "beauty",
        "lip balm",
        "Beauty › Lip Care",
        "",
        ("soft",),
        (price,),
        f"${price}",
        {"flavor": flavors},
        (),
    )


def test_the_worked_example_is_what_the_shop_really_shows(tmp_path):
    products = [
        balm("BR0000XK2A", "Elwick Modern Lip Balm, Vegan, Beeswax Free", 24.5, ["cherry", "vanilla"]),
        balm("BR00017TQM", "Cardin Classic Lip Balm, Vegan, Long Lasting", 11.4, ["cherry", "vanilla"]),
    ]
    build_store(tmp_path / "store", products)
    instruction = "find me a vegan lip balm, in flavor vanilla, and price lower than 20.00 dollars"
    goal = Goal(
        "BR00017TQM",
        "beauty",
        "lip balm",
        products[1].name,
        "Beauty › Lip Care",
        instruction,
        ("vegan",),
        ("vanilla",),
        20.0,
    )
    shop = Shop(ProductStore(tmp_path / "store"), [24.5, 11.4], lambda title: ("lip", "balm"))
    session = Session(shop, goal)
    messages = opening("io", 1)
    turns = list(zip(messages[2:-1:2], messages[3:-1:2], strict=True))
    assert len(turns) == 4
    for shown, answer in turns:
        assert shown.content.split("\n")[-1] == session.observation()
        turn = session.step(answer.content.removeprefix("ACTION: "))
    assert turn.done and turn.reward == 1.0


@pytest.mark.parametrize("style", ["io", "cot", "react"])
def test_roles_take_turns_and_the_observation_comes_next(style):
    for shots in (0, 1):
        messages = opening(style, shots, rounds=7)
        assert "there are 7 turns" in messages[0].content
        assert messages[-1].role == ("user" if shots else "assistant")
        assert all(a.role != b.role for a, b in pairwise(messages))
        assert not any("{" in message.content for message in messages)
    replies = [message.content for message in opening(style, 1) if message.role == "assistant"][1:]
    assert all(reply.splitlines()[-1].startswith("ACTION: ") for reply in replies)
    assert all(reply.startswith("THOUGHT: ") == (style == "react") for reply in replies)


def test_the_compact_prompt_is_one_line():
    assert opening("react", 0, "compact") == [Message("user", "shop, think and act.")]


def test_what_cannot_be_had_is_named():
    with pytest.raises(ConfigError, match=r"method\.shots=2"):
        opening("io", 2)
    with pytest.raises(ConfigError, match=r"method\.shots=1"):
        opening("io", 1, "compact")
    with pytest.raises(ConfigError, match=r"method\.style=act"):
        opening("act", 0)
