import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.tasks.webshop.analysis import MAX_TOKEN_LENGTH, analyze
from agentx.tasks.webshop.ranking import quantise_length
from agentx.tasks.webshop.stemming import stem


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("agreed", "agre"),
        ("hopping", "hop"),
        ("filing", "file"),
        ("happy", "happi"),
        ("sky", "sky"),
        ("relational", "relat"),
        ("possibly", "possibl"),
        ("technology", "technolog"),
        ("adjustable", "adjust"),
        ("controlling", "control"),
        ("is", "is"),
        ("3.5mm", "3.5mm"),
    ],
)
def test_known_stems(word, expected):
    assert stem(word) == expected


ENDINGS = [
    "",
    "s",
    "ed",
    "ing",
    "ational",
    "izer",
    "bli",
    "logi",
    "iveness",
    "icate",
    "ement",
    "ion",
    "sion",
    "e",
    "ll",
    "y",
]


@pytest.fixture(scope="module")
def library():
    porter = pytest.importorskip("nltk.stem.porter").PorterStemmer
    return porter(porter.MARTIN_EXTENSIONS)


@given(st.text(alphabet="abceilnorstuy", min_size=1, max_size=7), st.sampled_from(ENDINGS))
def test_the_library_stems_the_same(library, word, ending):
    assert stem(word + ending) == library.stem(word + ending)


@given(st.text())
def test_any_text_is_analysed(text):
    assert all(0 < len(term) <= MAX_TOKEN_LENGTH + 1 for term in analyze(text))


def test_analysis_lowers_stems_and_stops():
    assert analyze("The Men's SHIRTS with 3.5mm ★ and a_b") == ["men", "shirt", "3.5mm", "★", "a_b"]


def test_lengths_are_exact_up_to_forty_and_never_longer_than_they_are():
    assert [quantise_length(length) for length in range(41)] == list(range(41))
    assert (quantise_length(41), quantise_length(55), quantise_length(100)) == (40, 54, 96)
    assert all(quantise_length(length) <= length for length in range(5000))
