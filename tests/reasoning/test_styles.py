"""Reading and writing replies: strict formats, counted forgiveness, no crash on hostile text."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentx.errors import ConfigError
from agentx.reasoning.settings import STYLES
from agentx.reasoning.styles import Style, normalise

FORGIVEN = {
    "label",
    "inline_label",
    "code_fence",
    "markup",
    "trailing_text",
    "several_actions",
    "leading_text",
    "missing_thought",
    "missing_thought_label",
}
WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz 0123456789,.[]()-", min_size=1).map(str.strip).filter(bool)
HOSTILE = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                "ACTION:",
                "action :",
                "THOUGHT:",
                "Thought:",
                "\n",
                "\r\n",
                "```",
                "**",
                "`",
                "<",
                ">",
                '"',
                " ",
                "{",
                "}",
                "{task}",
                "go to desk 1",
                "é",
                "\u2028",
                "\x00",
                "ACTION",
                "1.",
                "Yes",
            ]
        ),
        max_size=25,
    ).map("".join),
)


@pytest.mark.parametrize("name", STYLES)
@given(thought=WORDS, action=WORDS)
def test_what_is_rendered_is_read_back(name: str, thought: str, action: str) -> None:
    style = Style(name)
    parsed = style.parse(style.render(thought, action))
    assert (parsed.action, parsed.thought) == (action, "" if name == "io" else thought)
    assert parsed.forgiven == ()


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("multiline", [False, True])
@given(thought=HOSTILE, action=HOSTILE)
def test_render_refuses_what_it_could_not_read_back(name: str, multiline: bool, thought: str, action: str) -> None:
    style = Style(name, multiline=multiline)
    try:
        reply = style.render(thought, action)
    except ValueError:
        return
    parsed = style.parse(reply)
    assert (parsed.action, parsed.thought) == (action, "" if name == "io" else thought)


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("multiline", [False, True])
@given(reply=HOSTILE)
@example(reply="")
@example(reply="ACTION:")
@example(reply="**ACTION:**")
@example(reply="```\nACTION:\n```")
def test_any_reply_is_read(name: str, multiline: bool, reply: str) -> None:
    style = Style(name, multiline=multiline)
    parsed = style.parse(reply)
    assert set(parsed.forgiven) <= FORGIVEN
    assert len(set(parsed.forgiven)) == len(parsed.forgiven)
    if parsed.action is not None:
        assert parsed.action == parsed.action.strip() != ""
        assert multiline or "\n" not in parsed.action
    assert isinstance(style.history_text(reply, parsed), str)


@pytest.mark.parametrize(
    "bomb",
    [
        "ACTION: " + "a" * 1_000_000,
        "THOUGHT:" * 100_000 + "ACTION: go",
        "action :" * 100_000,
        " " * 1_000_000,
        "```\n" * 100_000,
        "*" * 1_000_000 + "ACTION: x",
        "ACTION:" + "\n" * 1_000_000 + "x",
        "A" * 1_000_000,
    ],
    ids=range(8),
)
@pytest.mark.parametrize("name", STYLES)
@pytest.mark.timeout(10)
def test_huge_replies_take_linear_time(name: str, bomb: str) -> None:
    style = Style(name)
    style.history_text(bomb, style.parse(bomb))


@pytest.mark.parametrize(
    ("name", "reply", "action", "thought", "forgiven"),
    [
        ("io", "ACTION: go to desk 1", "go to desk 1", "", ()),
        ("io", "go to desk 1", None, "", ()),
        ("io", "I think.\nACTION: go", "go", "", ("leading_text",)),
        ("cot", "First.\nSecond.\nACTION: go", "go", "First.\nSecond.", ()),
        ("cot", "ACTION: go", "go", "", ("missing_thought",)),
        ("react", "THOUGHT: so\nACTION: go", "go", "so", ()),
        ("react", "THOUGHT: so\r\nACTION: go\r\n", "go", "so", ()),
        ("react", "THOUGHT: so ACTION: go", "go", "so", ("inline_label",)),
        ("react", "Thought: so\nAction: go", "go", "so", ("label",)),
        ("react", "so\nACTION: go", "go", "so", ("missing_thought_label",)),
        ("react", "Well.\nTHOUGHT: so\nACTION: go", "go", "so", ("leading_text",)),
        ("react", "THOUGHT: so\nACTION: go\nThen I am there.", "go", "so", ("trailing_text",)),
        ("react", "THOUGHT: so\nACTION: go\nTHOUGHT: b\nACTION: stay", "go", "so", ("several_actions",)),
        ("react", "```\nTHOUGHT: so\nACTION: go\n```", "go", "so", ("code_fence",)),
        ("react", "THOUGHT: so\nACTION:\n```\ngo\n```", "go", "so", ("code_fence",)),
        ("react", "**THOUGHT:** so\n**ACTION:** go", "go", "so", ("markup",)),
        ("react", "THOUGHT: so\nACTION: `go`", "go", "so", ("markup",)),
        ("react", "THOUGHT: so\nACTION: <go>", "go", "so", ("markup",)),
        ("react", "THOUGHT: so\nACTION:", None, "so", ()),
        ("react", "THOUGHT: so\nACTION:\ngo", None, "so", ("trailing_text",)),
        ("react", "THOUGHT: a TRANSACTION: 12", None, "THOUGHT: a TRANSACTION: 12", ()),
        ("react", "ACTION: go", "go", "", ("missing_thought",)),
    ],
)
def test_deviations_are_forgiven_by_name(
    name: str, reply: str, action: str | None, thought: str, forgiven: tuple[str, ...]
) -> None:
    parsed = Style(name).parse(reply)
    assert (parsed.action, parsed.thought, parsed.forgiven) == (action, thought, forgiven)


def test_only_react_keeps_its_thought_in_the_history() -> None:
    reply = "THOUGHT: so\nACTION: go\nand more"
    kept = {name: Style(name).history_text(reply, Style(name).parse(reply)) for name in STYLES}
    assert kept == {"io": "ACTION: go", "cot": "ACTION: go", "react": "THOUGHT: so\nACTION: go"}
    assert Style("cot").history_text(" no label ", Style("cot").parse(" no label ")) == "no label"


@given(thought=WORDS, action=WORDS)
def test_a_clean_react_reply_stays_as_it_is(thought: str, action: str) -> None:
    style = Style("react")
    reply = style.render(thought, action)
    assert style.history_text(reply, style.parse(reply)) == reply


def test_multiline_actions_only_where_asked_for() -> None:
    reply = "THOUGHT: so\nACTION: for x in *; do\n  echo $x\ndone"
    assert Style("react", multiline=True).parse(reply).action == "for x in *; do\n  echo $x\ndone"
    assert Style("react").parse(reply).action == "for x in *; do"
    assert Style("react").parse(reply).forgiven == ("trailing_text",)


def test_every_style_says_its_format() -> None:
    for name in STYLES:
        assert "ACTION: <" in Style(name).format_instruction
        assert ("THOUGHT:" in Style(name).format_instruction) == (name == "react")
        assert Style(name, multiline=True).format_instruction != Style(name).format_instruction


def test_unknown_style_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"method.style=acr: must be one of io, cot, react"):
        Style("acr")


def test_normalised_actions() -> None:
    assert normalise(" Go  to Desk 1 ") == normalise("go to desk 1")
    assert normalise("ls -A", multiline=True) != normalise("ls -a", multiline=True)
