"""A shopper that reads the pages: it searches for what is wanted, compares titles and prices, chooses and buys."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from agentx.tasks.webshop import pages
from agentx.tasks.webshop.engine import Session, option_values
from agentx.tasks.webshop.reward import Goal

_PRICE = re.compile(r"\$([\d.]+)")


@dataclass(frozen=True)
class Move:
    action: str
    thought: str


@dataclass
class Shopper:
    """Decides from what the current page shows and what it has rejected before.

    It knows the goal's parts (kind, attributes, options, limit) apart, which a model has to read off the instruction.
    """

    goal: Goal
    rejected: set[str] = field(default_factory=set)

    def decide(self, session: Session) -> Move:
        if session.page_name == "search_results":
            return self._compare(session)
        if session.page_name == "item_page":
            return self._choose(session)
        if session.page_name == "item_sub_page":
            return Move("click[< prev]", "I go back to the product.")
        return self._search()

    def fits(self, session: Session) -> bool:
        """Whether the open product is of the wanted kind with the wanted attributes, options and price."""
        if session.asin is None:
            return False
        number = session.shop.store.number(session.asin)
        product = session.shop.store[number] if number is not None else None
        if product is None or not self._title_fits(product.name, product.price_tag):
            return False
        offered = {value for values in product.options.values() for value in values}
        return all(option in offered for option in self.goal.options)

    def _search(self) -> Move:
        words = " ".join([*self.goal.attributes, self.goal.query, *self.goal.options])
        return Move(f"search[{words}]", f"I need a {self.goal.query}. I search for {words}.")

    def _compare(self, session: Session) -> Move:
        nodes = session.page.nodes
        for place, node in enumerate(nodes):
            if node.kind != "link" or node.text in self.rejected:
                continue
            title, tag = nodes[place + 1].text, nodes[place + 2].text
            if self._title_fits(title, tag):
                thought = f"{node.text} is {title.split(', ')[0]} for {tag}. It fits. I open it."
                return Move(f"click[{node.text}]", thought)
        if pages.NEXT.lower() in session.page.clickables and (session.page_number or 0) * 10 < session.total:
            return Move("click[next >]", "Nothing on this page fits. I look at the next one.")
        return Move(f"search[{self.goal.query}]", f"Nothing fits. I search for {self.goal.query} alone.")

    def _choose(self, session: Session) -> Move:
        offered = {value for values in option_values(session.page).values() for value in values}
        missing = [option for option in self.goal.options if option not in offered]
        if session.asin in self.rejected or missing or not self.fits(session):
            self.rejected.add(session.asin or "")
            reason = f"There is no {missing[0]} here." if missing else "This is not what I need."
            return Move("click[< prev]", f"{reason} I go back.")
        for option in self.goal.options:
            if option not in session.options.values():
                return Move(f"click[{option}]", f"{option} is wanted. I choose it.")
        return Move("click[buy now]", "All is chosen. I buy it.")

    def _title_fits(self, title: str, tag: str) -> bool:
        words = title.lower()
        prices = [float(price) for price in _PRICE.findall(tag)]
        wanted = (self.goal.query, *(attribute.lower() for attribute in self.goal.attributes))
        return all(word in words for word in wanted) and max(prices, default=0.0) <= self.goal.price_upper


def stray(session: Session, right: str, rng: random.Random) -> Move:
    """A wrong turn that is possible here and is not `right`: another product, another option, a hasty purchase."""
    possible = [f"click[{name}]" for name in session.page.clickables if name not in ("search", "back to search")]
    if not possible:
        return Move("search[deal of the day]", "I look for bargains.")
    wrong = [action for action in possible if action != right] or ["search[deal of the day]"]
    if "click[buy now]" in wrong and rng.random() < 0.4:
        return Move("click[buy now]", "This will do. I buy it.")
    wrong = [action for action in wrong if action != "click[buy now]"] or ["search[deal of the day]"]
    return Move(rng.choice(wrong), "I try this.")
