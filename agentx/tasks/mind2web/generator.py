"""Small web pages with a form to fill in: the task's embedded data, in Mind2Web's form."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml
from lxml import etree

from agentx.tasks.mind2web.page import ID, Element
from agentx.tasks.mind2web.ranking import rank_candidates
from agentx.tasks.mind2web.samples import WebStep

Split = Literal["train", "test"]
_USABLE = ("a", "button", "input", "select")


@dataclass(frozen=True)
class Choice:
    """One part of a task: in `field`, do `operation` with `value`."""

    field: str
    operation: str
    value: str
    phrase: str


def generate_task(split: Split, seed: int, number: int) -> list[WebStep]:
    """The steps of one task on a website of the split, ranked by our own ranking. The same arguments give the same
    task; splits share neither websites nor values."""
    rng = random.Random(f"{split}/{seed}/{number}")
    site = rng.choice(sites(split))
    fields = sorted(rng.sample(range(len(site["fields"])), rng.randint(2, len(site["fields"]) - 1)))
    wanted = []
    for index in fields:
        label, operation, phrase, values = site["fields"][index]
        value = rng.choice(values)
        wanted.append(Choice(label, operation, value, phrase.format(value)))
    phrases = [choice.phrase for choice in wanted]
    task = f"{site['goal']} {', '.join(phrases[:-1])} and {phrases[-1]}, then press {site['button']}."
    name = f"{split}-{seed}-{number:05d}"
    layout = rng.random()
    spoken: list[str] = []
    steps: list[WebStep] = []
    for index, choice in enumerate([*wanted, None]):
        page, target = _page(site, wanted[:index], choice, random.Random(f"{name}/{layout}"))
        nodes = [str(node.get(ID)) for node in page.iter(*_USABLE)]
        in_words = _spoken(str(target.tag), choice, site["button"])
        step = WebStep(
            annotation_id=name,
            action_uid=str(index),
            website=site["name"],
            task=task,
            previous=tuple(spoken),
            in_words=in_words,
            steps=len(wanted) + 1,
            operation=choice.operation if choice else "CLICK",
            value=choice.value if choice and choice.operation != "CLICK" else "",
            positives=(str(target.get(ID)),),
            negatives=tuple(node for node in nodes if node != target.get(ID)),
            html=etree.tostring(page, encoding="unicode"),
            where=f"generated page {name}-{index}",
        )
        steps.append(rank_candidates(step))
        spoken.append(in_words)
    return steps


@cache
def sites(split: Split) -> list[dict[str, Any]]:
    """The websites of a split, see `sites.yaml`."""
    text = resources.files(__package__).joinpath("sites.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)[split]


def _spoken(tag: str, choice: Choice | None, button: str) -> str:
    if choice is None:
        return f"[{tag}]  {button} -> CLICK"
    if choice.operation == "CLICK":
        return f"[{tag}]  {choice.value} -> CLICK"
    return f"[{tag}]  {choice.field} -> {choice.operation}: {choice.value}"


class _Builder:
    """Makes elements whose ids grow in document order, with gaps as in recorded pages."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._last = rng.randrange(20, 200)

    def add(self, parent: Element | None, tag: str, text: str = "", **attributes: str) -> Element:
        self._last += self._rng.randint(1, 4)
        made = {ID: str(self._last), **{name.rstrip("_"): value for name, value in attributes.items()}}
        node = etree.Element(tag, made) if parent is None else etree.SubElement(parent, tag, made)
        if text:
            self.add(node, "text").text = text
        return node


def _page(
    site: dict[str, Any], done: list[Choice], current: Choice | None, rng: random.Random
) -> tuple[Element, Element]:
    """The page after `done`, and the element that `current` is about (None: the button)."""
    build = _Builder(rng)
    entered = {(choice.field, choice.value) for choice in done}
    links = rng.sample(site["links"], len(site["links"]))
    root = build.add(None, "html")
    body = build.add(root, "body")
    header = build.add(body, "header")
    build.add(header, "a", site["name"], title="home")
    for link in links[:3]:
        build.add(header, "a", link)
    form = build.add(build.add(body, "main"), "form")
    targets: dict[tuple[str, str], Element] = {}
    for label, operation, _, values in site["fields"]:
        group = build.add(form, "div")
        if operation == "CLICK":
            for value in values:
                checked = {"input_checked": "true"} if (label, value) in entered else {}
                targets[label, value] = build.add(group, "input", type="checkbox", aria_label=value, **checked)
            continue
        build.add(group, "label", label)
        value = next((text for field, text in entered if field == label), "")
        if operation == "TYPE":
            shown = {"input_value": value} if value else {}
            node = build.add(group, "input", type="text", aria_label=label, **shown)
        else:
            node = build.add(group, "select", name=label)
            for option in values:
                build.add(node, "option", option, **({"option_selected": "true"} if option == value else {}))
        targets.update({(label, text): node for text in values})
    button = build.add(form, "button", site["button"], type="submit")
    footer = build.add(body, "footer")
    for link in links[3:]:
        build.add(footer, "a", link)
    return root, button if current is None else targets[current.field, current.value]
