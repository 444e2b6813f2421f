from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.page import ID, Element, find, page_text, parse_page, prune

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


@st.composite
def pages(draw: st.DrawFn) -> Element:
    """A random tree; every element but text ones can be a candidate."""
    root = etree.Element("html", {ID: "0"})
    inner = [root]
    for number in range(1, draw(st.integers(2, 25))):
        parent = draw(st.sampled_from(inner))
        tag = draw(st.sampled_from(["div", "a", "text"]))
        node = etree.SubElement(parent, tag, {ID: str(number)})
        if tag == "text":
            node.text = draw(WORDS)
        else:
            inner.append(node)
            if draw(st.booleans()):
                node.set("title", draw(WORDS))
    return root


@settings(max_examples=60)
@given(pages(), st.data())
def test_candidates_stay_are_numbered_in_order_and_the_page_is_untouched(page: Element, data: st.DataObject) -> None:
    before = etree.tostring(page)
    nodes = [node for node in page.iter("*") if node.tag != "text"]
    chosen = data.draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=5, unique_by=lambda node: node.get(ID)))
    pruned = prune(page, chosen)
    text, choices = page_text(pruned)
    wanted = {node.get(ID) for node in chosen}
    assert [node for node, _ in choices] == [node.get(ID) for node in nodes if node.get(ID) in wanted]
    assert len(list(pruned.iter())) <= len(list(page.iter()))
    assert "\n" not in text
    for number, (_, shown) in enumerate(choices):
        assert f"id={number}" in shown
        assert len(shown.split()) <= 10
    assert etree.tostring(page) == before


def test_attributes_become_a_few_words() -> None:
    page = parse_page(
        '<a backend_node_id="1" role="none" href="x" title="One TWO" label="one two" name="three averyveryverylongword"'
        ' alt="http://x" value="a b c d e f g"/>',
        "p",
    )
    assert page_text(prune(page, [page]))[0] == "<a id=0 one two three a b c d e />"


def test_far_siblings_and_deep_descendants_are_left_out() -> None:
    items = "".join(f'<a backend_node_id="{n}" title="n{n}"/>' for n in range(10, 20))
    page = parse_page(f'<html backend_node_id="1">{items}</html>', "p")
    shown = page_text(prune(page, [find(page, ["14"])["14"]]))[0]
    assert [f"n{n}" in shown for n in range(10, 20)] == [11 <= n <= 17 for n in range(10, 20)]
    deep = parse_page("".join(f'<b backend_node_id="{n}" title="n{n}">' for n in range(12)) + "</b>" * 12, "p")
    shown = page_text(prune(deep, [find(deep, ["2"])["2"]]))[0]
    assert [f"n{n}" in shown for n in range(12)] == [n <= 8 for n in range(12)]


@pytest.mark.parametrize(
    "html",
    [
        "",
        "no markup",
        "<html><a></html>",
        "<html>\x00</html>",
        "<div>" * 5000 + "</div>" * 5000,
        f"<html><text>{'x ' * 5_500_000}</text></html>",
        '<?xml version="1.0" encoding="utf-8"?><html/>',
    ],
    ids=["empty", "text", "unclosed", "null", "deep", "long_text", "declaration"],
)
def test_a_malformed_page_is_named_in_one_line(html: str) -> None:
    with pytest.raises(TaskDataError, match=r"tasks\.json, record 7, field cleaned_html") as raised:
        parse_page(html, "tasks.json, record 7")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_entities_are_neither_expanded_nor_fetched() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "SECRET"><!ENTITY y SYSTEM "file:///etc/passwd">]><a backend_node_id="1">&x;&y;</a>'
    page = parse_page(bomb, "p")
    shown = page_text(prune(page, [page]))[0]
    assert "SECRET" not in shown
    assert "root" not in shown
