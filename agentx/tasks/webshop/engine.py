"""The shop's state machine: what an action does to a session."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agentx.tasks.webshop import pages
from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.nouns import NounTagger
from agentx.tasks.webshop.pages import Node, Page
from agentx.tasks.webshop.reward import Goal, Purchase, score_purchase
from agentx.tasks.webshop.settings import Rules
from agentx.tasks.webshop.store import ProductStore

PageName = Literal["", "search_results", "item_page", "item_sub_page", "done"]

PAGE_LENGTH = 10
HITS = 50
_ADDRESS = "http://127.0.0.1:3000"
# The original tells pages apart by looking for these in the address, in this order; the address holds the search words.
_PAGE_NAMES: tuple[PageName, ...] = ("search_results", "item_page", "item_sub_page", "done")
_FAITHFUL_ACTION = re.compile(r"(.+)\[(.+)\]")
_CORRECTED_ACTION = re.compile(r"(search|click)\[(.+)\]\Z")


class Prices(Protocol):
    """What a product, given by its number, is sold at."""

    def __getitem__(self, number: int, /) -> float: ...


@dataclass(frozen=True)
class Shop:
    """What all sessions share. It never changes."""

    store: ProductStore
    prices: Prices
    nouns: NounTagger
    rules: Rules = "faithful"


@dataclass(frozen=True)
class Turn:
    """What an action did. `taken` is false where it changed nothing."""

    reward: float
    done: bool
    taken: bool


@dataclass
class Session:
    """One shopper with one goal. Copy it with `fork`: pages are never changed in place."""

    shop: Shop
    goal: Goal
    name: str = "0"
    page: Page = field(init=False)
    page_name: PageName = field(init=False, default="")
    page_number: int | None = None
    keywords: tuple[str, ...] | None = None
    asin: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    visited: frozenset[str] = frozenset()
    total: int = 0
    purchase: Purchase | None = None
    _address: str = ""
    _searches: int = 0

    def __post_init__(self) -> None:
        self._show_start()

    def fork(self) -> Session:
        other = copy.copy(self)
        other.options = dict(self.options)
        return other

    def step(self, action: str) -> Turn:
        """Takes any text. What is no action, or clicks what is not there, changes nothing."""
        name, argument = parse_action(action, self.shop.rules)
        argument = argument.lower()
        if name == "search" and argument:
            self._search(tuple(argument.split(" ")), 1)
            return Turn(0.0, False, True)
        if name == "click" and argument in self.page.clickables and argument != "search":
            return self._click(argument)
        return Turn(0.0, False, False)

    def observation(self, rich: bool = False) -> str:
        return self.page.text_rich(self._clicked) if rich else self.page.text()

    def _click(self, name: str) -> Turn:
        node = self.page.clickables[name]
        kind = self._page_name()
        if name == pages.BUY.lower():
            return self._buy()
        if name == pages.BACK.lower():
            self._show_start()
        elif name == pages.NEXT.lower() and kind == "search_results":
            self._search(self.keywords or (), (self.page_number or 0) + 1)
        elif name == pages.PREVIOUS.lower() and kind == "search_results":
            self._search(self.keywords or (), (self.page_number or 0) - 1)
        elif name == pages.PREVIOUS.lower() and kind == "item_sub_page":
            self._show_item()
        elif name == pages.PREVIOUS.lower() and kind == "item_page":
            self._search(self.keywords or (), self.page_number or 0)
        elif name in [label.lower() for label in pages.SUB_PAGES] and self._opens_sub_page(node):
            self._show_sub_page(next(label for label in pages.SUB_PAGES if label.lower() == name))
        else:
            if node.kind == "link":
                self.asin = node.text
                self.visited |= {node.text}
            elif node.kind == "option":
                self.options[node.option] = name
            self._show_item()
        return Turn(0.0, False, True)

    def _opens_sub_page(self, node: Node) -> bool:
        return self.shop.rules == "faithful" or node.kind == "button"

    def _page_name(self) -> PageName:
        if self.shop.rules == "corrected":
            return self.page_name
        return next((name for name in _PAGE_NAMES if name in self._address), "")

    def _clicked(self, node: Node) -> bool:
        if node.kind == "link":
            return node.text in self.visited
        if self.shop.rules == "corrected":
            return self.options.get(node.option) == node.text
        return f'"{node.text}"' in self._address

    def _show_start(self) -> None:
        self.page, self.page_name = pages.start_page(self.goal.instruction), ""
        self.page_number = self.keywords = self.asin = None
        self.options, self.visited = {}, frozenset()
        self._address = f"{_ADDRESS}/{self.name}"

    def _search(self, keywords: tuple[str, ...], number: int) -> None:
        self.page_number, self.keywords, self.asin, self.options = number, keywords, None, {}
        found = self._found(keywords)
        self.total = len(found)
        self._searches += 1
        shown = [self.shop.store[product] for product in found[(number - 1) * PAGE_LENGTH : number * PAGE_LENGTH]]
        more = self.shop.rules == "faithful" or number * PAGE_LENGTH < len(found)
        self.page = pages.results_page(self.goal.instruction, shown, number, len(found), more)
        self._at("search_results", "+".join(keywords), str(number))

    def _found(self, keywords: tuple[str, ...]) -> list[int]:
        """Product numbers, best first. The first word may ask for a list instead of a search."""
        store, first, rest = self.shop.store, keywords[0], keywords[1:]
        if first == "<r>":
            rng = random.Random(f"{self.name}/{self._searches}")
            return rng.sample(range(store.size), min(HITS, store.size))
        if first == "<q>":
            return store.listed("query", " ".join(rest).strip())
        if first == "<c>":
            return store.listed("category", rest[0].strip()) if rest else []
        if first == "<a>":
            return []
        return store.search(" ".join(keywords), HITS)

    def _show_item(self) -> None:
        product = self._product()
        self.page = pages.item_page(self.goal.instruction, product)
        self._at(
            "item_page", product.asin, "+".join(self.keywords or ()), str(self.page_number), json.dumps(self.options)
        )

    def _show_sub_page(self, label: str) -> None:
        product = self._product()
        self.page = pages.sub_page(self.goal.instruction, product, label)
        where = "+".join(self.keywords or ())
        self._at("item_sub_page", product.asin, where, str(self.page_number), label, str(self.options))

    def _buy(self) -> Turn:
        product, number = self._product(), self._number()
        self.purchase = score_purchase(
            product, self.goal, self.shop.prices[number], list(self.options.values()), self.shop.nouns, self.shop.rules
        )
        self.page = pages.end_page(product.asin, self.options, self.purchase.reward)
        self._at("done", product.asin, str(self.options))
        return Turn(self.purchase.reward, True, True)

    def _at(self, name: PageName, *parts: str) -> None:
        self.page_name = name
        self._address = "/".join((_ADDRESS, name, self.name, *parts))

    def _product(self) -> Product:
        return self.shop.store[self._number()]

    def _number(self) -> int:
        number = self.shop.store.number(self.asin or "")
        if number is None:
            raise RuntimeError("no item is open")
        return number


def parse_action(action: str, rules: Rules) -> tuple[str, str]:
    """Name and argument, both '' for what is no action.

    faithful: what follows the last bracket is ignored, so that `click[buy now] please` buys; corrected: it is no
    action.
    """
    found = (_FAITHFUL_ACTION if rules == "faithful" else _CORRECTED_ACTION).match(action)
    return (found.group(1), found.group(2)) if found else ("", "")


def option_values(page: Page) -> Mapping[str, list[str]]:
    """The options on a page: name -> values."""
    found: dict[str, list[str]] = {}
    for node in page.nodes:
        if node.kind == "option":
            found.setdefault(node.option, []).append(node.text)
    return found
