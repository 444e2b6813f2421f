"""What generated tables are about. The training and the test split share no subject, no table and no column name.

Most of the training split's subjects are drawn: any noun with any columns, so that names have to be read and cannot be
learnt by heart. The test split's are written by hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

Split = Literal["train", "test"]
Draw = Callable[[random.Random], str]


@dataclass(frozen=True)
class Subject:
    """Tables of one subject: a column of unique names, two of words and two of whole numbers."""

    table: str
    noun: str
    """one row is one of these, in the plural"""
    key: str
    names: tuple[tuple[str, ...], tuple[str, ...]]
    """a row's name is a word of each, so there are as many names as pairs"""
    words: tuple[tuple[str, tuple[str, ...]], tuple[str, tuple[str, ...]]]
    numbers: tuple[tuple[str, int, int], tuple[str, int, int]]
    """column, least and most"""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.key, *(name for name, _ in self.words), *(name for name, _, _ in self.numbers))


_TRAIN = (
    Subject(
        "Library Books",
        "books",
        "Book",
        (("Silent", "Golden", "Hidden", "Broken", "Distant"), ("River", "Garden", "Mirror", "Letter", "Winter")),
        (
            ("Genre", ("history", "poetry", "travel", "mystery")),
            ("Shelf", ("north", "south", "east", "west")),
        ),
        (("Pages", 80, 620), ("Copies", 1, 12)),
    ),
    Subject(
        "city_parks",
        "parks",
        "Park",
        (("Oak", "Maple", "Willow", "Stone", "Sunny"), ("Hill", "Meadow", "Pond", "Grove", "Lane")),
        (
            ("District", ("Harbor", "Center", "Old Town", "Mill End")),
            ("Surface", ("grass", "gravel", "sand", "woods")),
        ),
        (("Area", 2, 90), ("Benches", 4, 75)),
    ),
    Subject(
        "Bakery Orders",
        "orders",
        "Customer",
        (("Anna", "Boris", "Clara", "David", "Elena"), ("Novak", "Weber", "Silva", "Moreau", "Lind")),
        (
            ("Product", ("rye bread", "plum cake", "bagels", "croissants")),
            ("Pickup day", ("Monday", "Tuesday", "Friday", "Saturday")),
        ),
        (("Pieces", 1, 40), ("Price", 3, 160)),
    ),
    Subject(
        "chess_players",
        "players",
        "Player",
        (("Ivan", "Maria", "Karl", "Lucia", "Omar"), ("Petrov", "Costa", "Haas", "Romano", "Aziz")),
        (
            ("Club", ("White Rook", "Black Knight", "City Pawns", "Open File")),
            ("Title", ("master", "expert", "amateur", "junior")),
        ),
        (("Rating", 1100, 2600), ("Games", 5, 140)),
    ),
    Subject(
        "Train Departures",
        "trains",
        "Train",
        (("Blue", "Red", "Silver", "Green", "Night"), ("Arrow", "Star", "Comet", "Swallow", "Falcon")),
        (
            ("Destination", ("Lyon", "Porto", "Vienna", "Oslo")),
            ("Operator", ("NorthRail", "Transit One", "Alpine Lines", "Coastway")),
        ),
        (("Platform", 1, 18), ("Seats", 90, 800)),
    ),
    Subject(
        "museum_exhibits",
        "exhibits",
        "Exhibit",
        (("Bronze", "Painted", "Ivory", "Carved", "Marble"), ("Horse", "Mask", "Vase", "Shield", "Dancer")),
        (
            ("Era", ("antique", "medieval", "baroque", "modern")),
            ("Hall", ("A", "B", "C", "D")),
        ),
        (("Weight", 1, 300), ("Visitors", 20, 900)),
    ),
    Subject(
        "Garden Plants",
        "plants",
        "Plant",
        (("Dwarf", "Wild", "Royal", "Alpine", "Creeping"), ("Rose", "Thyme", "Iris", "Fern", "Lily")),
        (
            ("Bed", ("front", "back", "terrace", "wall")),
            ("Light", ("full sun", "half shade", "shade", "any")),
        ),
        (("Height", 5, 210), ("Blossoms", 0, 95)),
    ),
    Subject(
        "delivery_vans",
        "vans",
        "Van",
        (("Fox", "Bear", "Lynx", "Otter", "Crane"), ("One", "Two", "Three", "Four", "Five")),
        (
            ("Depot", ("Airport", "Riverside", "Westgate", "Docks")),
            ("Fuel", ("diesel", "electric", "gas", "hybrid")),
        ),
        (("Mileage", 900, 98000), ("Parcels", 10, 240)),
    ),
)
_TEST = (
    Subject(
        "Mountain Huts",
        "huts",
        "Hut",
        (("Eagle", "Marmot", "Glacier", "Larch", "Thunder"), ("Rest", "Lodge", "Refuge", "Shelter", "Cabin")),
        (
            ("Valley", ("Upper Inn", "Long Creek", "Sable", "Verdon")),
            ("Access", ("footpath", "cable car", "forest road", "ladder")),
        ),
        (("Altitude", 900, 3200), ("Beds", 6, 110)),
    ),
    Subject(
        "rowing_teams",
        "teams",
        "Team",
        (("Swift", "Iron", "Royal Blue", "Crimson", "Lucky"), ("Oars", "Herons", "Sculls", "Tide", "Pikes")),
        (
            ("Town", ("Lucerne", "Ghent", "Bath", "Turku")),
            ("Class", ("single", "double", "quad", "eight")),
        ),
        (("Points", 0, 180), ("Medals", 0, 25)),
    ),
    Subject(
        "Cheese Stock",
        "cheeses",
        "Cheese",
        (("Smoked", "Aged", "Blue", "Herbal", "Monastery"), ("Wheel", "Log", "Block", "Brick", "Round")),
        (
            ("Origin", ("Jura", "Asturias", "Tyrol", "Friesland")),
            ("Milk", ("cow", "goat", "sheep", "buffalo")),
        ),
        (("Weeks aged", 2, 130), ("Units", 1, 85)),
    ),
    Subject(
        "radio_shows",
        "shows",
        "Show",
        (("Morning", "Midnight", "Sunday", "Open", "Electric"), ("Talk", "Jazz", "Express", "Waves", "Report")),
        (
            ("Host", ("R. Adler", "T. Quinn", "M. Okafor", "S. Ivers")),
            ("Station", ("Delta FM", "City Radio", "Kanal 5", "Radio Nord")),
        ),
        (("Listeners", 300, 90000), ("Minutes", 15, 180)),
    ),
)


DRAWN = 0.75
"""share of the training split's samples whose subject is drawn"""


def subjects(split: Split) -> tuple[Subject, ...]:
    """Those written by hand."""
    return _TRAIN if split == "train" else _TEST


def choose_subject(split: Split, rng: random.Random) -> Subject:
    if split == "train" and rng.random() < DRAWN:
        return drawn_subject(rng)
    return rng.choice(subjects(split))


def drawn_subject(rng: random.Random) -> Subject:
    """A noun, a table's name and five columns, all of the training split's words."""
    words = _words()
    singular, plural = rng.choice(words["nouns"])
    title = f"{rng.choice(words['qualifiers'])} {plural}"
    kinds = [(name, tuple(rng.sample(words["values"], 4))) for name in rng.sample(words["kinds"], 2)]
    starts = [rng.choice((0, 1, 5, 20)) for _ in range(2)]
    measures = [
        (name, least, least + rng.choice((60, 150, 900, 9000)))
        for name, least in zip(rng.sample(words["measures"], 2), starts, strict=True)
    ]
    return Subject(
        table=rng.choice((title.title(), title.replace(" ", "_"))),
        noun=plural,
        key=singular.capitalize(),
        names=(tuple(rng.sample(words["first_names"], 5)), tuple(rng.sample(words["last_names"], 5))),
        words=(kinds[0], kinds[1]),
        numbers=(measures[0], measures[1]),
    )


@cache
def _words() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("subject_words.yaml").read_text(encoding="utf-8")
    words: dict[str, Any] = yaml.safe_load(text)
    return words
