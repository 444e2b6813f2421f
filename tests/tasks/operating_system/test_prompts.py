import pytest

from agentx.errors import ConfigError
from agentx.reasoning.styles import Style
from agentx.tasks.operating_system.actions import parse
from agentx.tasks.operating_system.prompts import STYLES, opening


@pytest.mark.parametrize("style", STYLES)
def test_the_worked_example_is_in_the_format_it_teaches(style):
    messages = opening(style, 1)
    assert [message.role for message in messages] == ["user", "assistant"] * 3 + ["user"]
    commands = []
    for message in messages[3::2]:
        parsed = Style(style, multiline=True).parse(message.content)
        assert parsed.forgiven == ()
        commands.append(parse(parsed.action))
    assert [command.kind for command in commands] == ["bash", "answer"]
    assert all(command.forgiven == () for command in commands)


@pytest.mark.parametrize("style", STYLES)
def test_compact_is_one_short_line(style):
    (message,) = opening(style, 0, "compact")
    assert len(message.content) < 120 and "\n" not in message.content


def test_the_rounds_that_are_told_are_the_rounds_there_are():
    assert "You have 5 replies" in opening("io", 0, "plain", 5)[0].content


def test_impossible_openings_are_refused():
    for style, shots, prompt in (("xx", 0, "plain"), ("io", 2, "plain"), ("io", 1, "compact")):
        with pytest.raises(ConfigError):
            opening(style, shots, prompt)
