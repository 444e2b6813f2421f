"""Web pages as Mind2Web has them: reading, pruning to a few candidates, and the text a model is shown.

Rules after Deng et al. 2023 (Mind2Web), as AgentBench 0.2 runs them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from lxml import etree

from agentx.tasks.environment import TaskDataError

Element: TypeAlias = etree._Element

ID = "backend_node_id"
TEXT = "text"
"""Text is held by elements of this name, not by the text of other elements."""

_LEVELS = 6
_DESCENDANTS = 50
_SIBLINGS = 3
_ATTRIBUTES = [
    "role",
    "aria_role",
    "type",
    "alt",
    "aria_description",
    "aria_label",
    "label",
    "title",
    "name",
    "text_value",
    "value",
    "placeholder",
    "input_checked",
    "input_value",
    "option_selected",
    "class",
]
_MEANINGLESS = ("hidden", "none", "presentation", "null", "undefined")
_WORD_LENGTH = 15
_WORDS_PER_VALUE = 5
_WORDS = 20
_CHOICE_WORDS = 10
_ENTITIES = {
    "&quot;": '"',
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&nbsp;": " ",
    "&ndash;": "-",
    "&rsquo;": "'",
    "&lsquo;": "'",
    "&ldquo;": '"',
    "&rdquo;": '"',
    "&#39;": "'",
    "&#40;": "(",
    "&#41;": ")",
}
_TEXT_TAGS = re.compile(r"<text>(.*?)</text>")


def parse_page(html: str, where: str) -> Element:
    """The root of a page's tree. Entities are not expanded and nothing is fetched; libxml2's own limits on depth and
    text length hold. Raises TaskDataError, naming `where`, for a page that is not well-formed or beyond them."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        return etree.fromstring(html, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TaskDataError(
            f"{where}, field cleaned_html: not a readable page ({reason}); leave the sample out"
        ) from error


def find(page: Element, ids: Collection[str]) -> dict[str, Element]:
    """The first element of each id, where there is one."""
    wanted = set(ids)
    found: dict[str, Element] = {}
    for node in page.iter("*"):
        identity = node.get(ID)
        if identity in wanted:
            found.setdefault(identity, node)
            if len(found) == len(wanted):
                break
    return found


def prune(page: Element, candidates: Sequence[Element]) -> Element:
    """A new, small tree: the candidates with their ancestors, nearest siblings and first descendants. Only candidates
    keep their id; nodes that say nothing and hold at most one other are left out. `page` is not changed; time goes
    with what is kept and its children, not with the page."""
    ids = {str(node.get(ID)) for node in candidates}
    kept = set(ids)
    for node in candidates:
        near = (*node.iterancestors(), *islice(_descendants(node, _LEVELS), _DESCENDANTS), *_siblings(node))
        kept.update(other.get(ID, "") for other in near)
    root = etree.Element(page.tag, dict(page.attrib))
    root.text, root.tail = page.text, page.tail
    _without_id(root, ids)
    root.extend(_pruned_children(page, kept, ids))
    return root


def _descendants(node: Element, levels: int) -> Iterator[Element]:
    for child in node.iterchildren("*"):
        yield child
        if levels > 1:
            yield from _descendants(child, levels - 1)


def _siblings(node: Element) -> Iterator[Element]:
    for preceding in (True, False):
        others = (other for other in node.itersiblings("*", preceding=preceding) if other.tag != TEXT)
        yield from islice(others, _SIBLINGS)


def _pruned_children(node: Element, kept: set[str], candidates: set[str]) -> list[Element]:
    # The parser has bounded the depth, so recursion is safe.
    pruned = []
    for child in node.iterchildren("*"):
        if (node if child.tag == TEXT else child).get(ID, "") in kept:
            pruned += _pruned(child, kept, candidates)
    return pruned


def _pruned(node: Element, kept: set[str], candidates: set[str]) -> list[Element]:
    twin = etree.Element(node.tag, dict(node.attrib))
    twin.text, twin.tail = node.text, node.tail
    _without_id(twin, candidates)
    children = _pruned_children(node, kept, candidates)
    silent = not twin.attrib and not any(child.tag == TEXT for child in children)
    if node.tag != TEXT and silent and len(children) <= 1:
        return children
    twin.extend(children)
    return [twin]


def _without_id(node: Element, candidates: set[str]) -> None:
    if node.tag == TEXT or node.get(ID) not in candidates:
        node.attrib.pop(ID, None)


def page_text(pruned: Element) -> tuple[str, list[tuple[str, str]]]:
    """What is shown of a pruned page: its text, and (id, text) of each candidate in document order, cut to its first
    ten words. Candidates are numbered from 0 in that order."""
    nodes = [node for node in pruned.iter("*") if node.get(ID) is not None]
    numbers: dict[str, int] = {}
    for node in nodes:
        numbers.setdefault(str(node.get(ID)), len(numbers))
    choices = [(str(node.get(ID)), " ".join(_shown(node, numbers).split()[:_CHOICE_WORDS])) for node in nodes]
    return _shown(pruned, numbers), choices


def _shown(node: Element, numbers: dict[str, int]) -> str:
    tree = copy.deepcopy(node)
    for part in tree.iter("*"):
        if part.tag == TEXT:
            part.text = " ".join((part.text or "").split()[:_WORDS])
            continue
        words, number = described(part), numbers.get(part.get(ID, ""))
        part.attrib.clear()
        if number is not None:
            part.set("id", str(number))
        if words:
            part.set("meta", " ".join(words))
    # The replacements reach into the text as well; the benchmark's pages look the way they do because of it.
    text = etree.tostring(tree, encoding="unicode").replace('"', " ")
    text = text.replace("meta= ", "").replace("id= ", "id=").replace(" >", ">")
    text = _TEXT_TAGS.sub(r"\1", text)
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return " ".join(text.split())


def described(node: Element) -> list[str]:
    """The words that stand for an element's attributes, at most 20."""
    values: dict[str, None] = {}
    for attribute in _ATTRIBUTES:
        value = node.get(attribute, "").lower()
        if value in _MEANINGLESS or value.startswith("http"):
            continue
        short = [word for word in value.split() if len(word) < _WORD_LENGTH]
        values.setdefault(" ".join(short[:_WORDS_PER_VALUE]))
    return " ".join(values).split()[:_WORDS]
