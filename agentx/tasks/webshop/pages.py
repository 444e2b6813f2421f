"""The shop's pages as the benchmark's two text observations, and what can be clicked on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agentx.tasks.webshop.catalogue import Product

Kind = Literal["text", "button", "link", "option"]
SEPARATOR = " [SEP] "
BACK, NEXT, PREVIOUS, BUY = "Back to Search", "Next >", "< Prev", "Buy Now"
SUB_PAGES = ("Description", "Features", "Reviews", "Attributes")
_ASCII_SPACES = " \t\n\f\r\v"


@dataclass(frozen=True)
class Node:
    """A piece of text on a page. `option` is the option's name where the piece is one of its values."""

    text: str
    kind: Kind = "text"
    option: str = ""

    @property
    def shown(self) -> bool:
        """Empty text leaves no trace on a page; white space with a line break is dropped, other white space is not."""
        return bool(self.text) and bool(self.text.strip(_ASCII_SPACES) or "\n" not in self.text)


@dataclass(frozen=True)
class Page:
    """A rendered page. `clickables` maps what can be clicked, in order, to the node it is."""

    nodes: tuple[Node, ...]
    clickables: Mapping[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[str, Node] = {}
        for kinds in (("button",), ("link",), ("option",)):
            for node in self.nodes:
                if node.kind in kinds:
                    found[node.text if node.kind == "option" else node.text.lower()] = node
        object.__setattr__(self, "clickables", found)

    def text(self) -> str:
        return SEPARATOR.join(node.text.strip() for node in self.nodes if node.shown)

    def text_rich(self, clicked: Callable[[Node], bool]) -> str:
        """With buttons marked, those that `clicked` holds for as clicked."""
        lines, announced = [], ""
        for node in self.nodes:
            if not node.shown:
                continue
            name = "button"
            if node.kind in ("link", "option") and clicked(node):
                name = "clicked button"
                if node.kind == "option":
                    announced = f"You have clicked {node.text}.\n{announced}"
            indent = {"link": "\n", "option": "  "}.get(node.kind, "")
            lines.append(node.text if node.kind == "text" else f"{indent}[{name}] {node.text} [{name}_]")
        return announced + "".join(f"{line}\n" for line in lines)


def start_page(instruction: str) -> Page:
    return Page((Node("WebShop"), Node("Instruction: "), Node(instruction), Node("Search", "button")))


def results_page(instruction: str, products: Sequence[Product], page: int, total: int, has_next: bool) -> Page:
    nodes = [*_head(instruction), Node(f"Page {page} (Total results: {total})")]
    if page > 1:
        nodes.append(Node(PREVIOUS, "button"))
    if has_next:
        nodes.append(Node(NEXT, "button"))
    for product in products:
        nodes += [Node(product.asin, "link"), Node(product.name), Node(product.price_tag)]
    return Page(tuple(nodes))


def item_page(instruction: str, product: Product) -> Page:
    nodes = [*_head(instruction), Node(PREVIOUS, "button")]
    for name, values in product.options.items():
        nodes.append(Node(name))
        nodes += [Node(value, "option", name) for value in values]
    nodes += [Node(product.name), Node(f"Price: {product.price_tag}"), Node("Rating: N.A.")]
    nodes += [Node(label, "button") for label in (*SUB_PAGES[:3], BUY)]
    return Page(tuple(nodes))


def sub_page(instruction: str, product: Product, name: str) -> Page:
    """One of SUB_PAGES. There are no reviews; Attributes has no button of its own."""
    content: list[Node] = []
    if name == "Description":
        content = [Node(product.description)]
    elif name == "Features":
        content = [Node(f" {bullet}") for bullet in product.bullets]
    elif name == "Attributes":
        content = [Node(f" {attribute}") for attribute in product.attributes]
        content += [Node(text) for text in (product.category, product.query, product.product_category)]
    return Page((*_head(instruction), Node(PREVIOUS, "button"), *content))


def end_page(asin: str, options: Mapping[str, str], reward: float) -> Page:
    lines = ["Thank you for shopping with us!", "Your code: ", "None", " (Paste it in your MTurk interface.)"]
    lines += ["Purchased", "asin", asin, "options", _shown_options(options), "attrs", "None", "category", "None"]
    lines += ["query", "None", "product category", "None", "Target", "asin", "options", "attrs", "price upper"]
    lines += ["instuction text", "category", "product category", "query", "Goal ", "None", "Reward"]
    lines += ["Your score (min 0.0, max 1.0)", str(reward), "Reward Details ", "None"]
    return Page(tuple(Node(line) for line in lines))


def _head(instruction: str) -> tuple[Node, ...]:
    return Node("Instruction:"), Node(instruction), Node(BACK, "button")


def _shown_options(options: Mapping[str, str]) -> str:
    """JSON as the original's page template writes it: sorted, with the characters of markup escaped."""
    text = json.dumps(options, sort_keys=True)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
