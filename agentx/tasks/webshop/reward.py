"""What a purchase is worth: product type, attributes, options and price against the goal.

Source: WebShop's reward (arXiv 2207.01206, section 3 and appendix), with the behaviour of its published engine.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.nouns import NounTagger
from agentx.tasks.webshop.settings import Rules

_COLOURS = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor
mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand
sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
wheat white wine yellow
"""
COLOURS = tuple(_COLOURS.split())
"""in the order in which they are looked for"""
MATCHING = 85
"""a fuzzy match scores more than this, of 100"""
_WORD = re.compile(r"\w+")
_NO_WORD = re.compile(r"\W")
_UPPER_LATIN = dict.fromkeys(range(128, 256))


@dataclass(frozen=True)
class Goal:
    """What the agent is sent for. `price_upper` is 1000000 where the instruction sets no limit."""

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]
    price_upper: float


@dataclass(frozen=True)
class Purchase:
    """A purchase's reward in [0, 1] and what it is made of."""

    reward: float
    r_type: float
    query_match: bool
    category_match: bool
    title_score: float
    attributes_matched: int
    options_matched: int
    price_ok: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def score_purchase(
    product: Product, goal: Goal, price: float, options: Sequence[str], nouns: NounTagger, rules: Rules = "faithful"
) -> Purchase:
    """The reward for buying `product` at `price` with the chosen option values.

    rules=corrected: the title's nouns count once each, colours are looked for as whole words, and attributes are
    compared without regard to case.
    """
    query_match = product.query == goal.query
    category_match = len(_parts(product.product_category) & _parts(goal.product_category)) >= 2
    title_score = _title_score(nouns(product.name), nouns(goal.name), rules)
    r_type = 1.0 if query_match or category_match or title_score > 0.2 else 0.5
    if title_score < 0.1:
        r_type = 0.1 if title_score else 0.0
    attributes = sum(_has_attribute(product, wanted, rules) for wanted in goal.attributes)
    chosen = [_colour_in(option, rules) for option in options]
    matched = sum(
        any(token_set_ratio(option, _colour_in(wanted, rules)) > MATCHING for option in chosen)
        for wanted in goal.options
    )
    price_ok = price <= goal.price_upper
    reward = (attributes + matched + price_ok) / (len(goal.attributes) + len(goal.options) + 1) * r_type
    return Purchase(reward, r_type, query_match, category_match, title_score, attributes, matched, price_ok)


def shares(purchase: Purchase, goal: Goal) -> Mapping[str, float]:
    """The parts as the original reports them: r_att, r_option (where the goal has options) and r_price."""
    parts = {"r_att": purchase.attributes_matched / len(goal.attributes), "r_price": float(purchase.price_ok)}
    if goal.options:
        parts["r_option"] = purchase.options_matched / len(goal.options)
    return parts


def _parts(product_category: str) -> set[str]:
    return {part.strip() for part in product_category.split("›")}


def _title_score(bought: Sequence[str], desired: Sequence[str], rules: Rules) -> float:
    if not desired:
        return 0.2
    shared = len(set(bought) & set(desired))
    return shared / (len(set(desired)) if rules == "corrected" else len(desired))


def _has_attribute(product: Product, wanted: str, rules: Rules) -> bool:
    if any(token_set_ratio(owned, wanted) > MATCHING for owned in product.attributes):
        return True
    sought = wanted.lower() if rules == "corrected" else wanted
    return any(sought in text.lower() for text in (product.name, " ".join(product.bullets), product.description))


def _colour_in(option: str, rules: Rules) -> str:
    """The first known colour in the option, else the option itself."""
    within = set(_WORD.findall(option.lower())) if rules == "corrected" else option
    return next((colour for colour in COLOURS if colour in within), option)


def token_set_ratio(first: str, second: str) -> int:
    """Likeness of two texts as sets of words, 0 to 100, as thefuzz 0.19 computes it with difflib."""
    one, two = _words(first), _words(second)
    if not one or not two:
        return 0
    shared = " ".join(sorted(one & two))
    with_one = f"{shared} {' '.join(sorted(one - two))}".strip()
    with_two = f"{shared} {' '.join(sorted(two - one))}".strip()
    return max(_ratio(shared, with_one), _ratio(shared, with_two), _ratio(with_one, with_two))


def _words(text: str) -> set[str]:
    return set(_NO_WORD.sub(" ", text.translate(_UPPER_LATIN)).lower().split())


def _ratio(first: str, second: str) -> int:
    if first == second:
        return 100
    if not first or not second:
        return 0
    return round(100 * difflib.SequenceMatcher(None, first, second).ratio())
