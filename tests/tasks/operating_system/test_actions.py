import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.tasks.operating_system.actions import Command, parse, render


@pytest.mark.parametrize(
    ("written", "kind", "text", "forgiven"),
    [
        ("bash\n```bash\nls\n```", "bash", "ls", ()),
        ("bash\n```bash\ncd /\nls\n```", "bash", "cd /\nls", ()),
        ("```bash\nls\n```", "bash", "ls", ("missing_word",)),
        ("bash\n```bash\nls", "bash", "ls", ("unclosed_fence",)),
        ("bash ```ls```", "bash", "ls", ("one_line_fence",)),
        ("bash\n```bash\na\n```\n```bash\nb\n```", "bash", "a\nb", ("several_blocks",)),
        ("bash\n```bash\na\n```\nThat lists.", "bash", "a", ("extra_text",)),
        ("answer(3)", "answer", "3", ()),
        ("answer(f(x))", "answer", "f(x)", ()),
        ("Answer(3) I think", "answer", "3", ("letter_case", "extra_text")),
        ("finish", "finish", "", ()),
        ("Finish.", "finish", "", ("letter_case",)),
    ],
)
def test_reads_actions_and_names_what_it_forgives(written, kind, text, forgiven):
    assert parse(written) == Command(kind, text, forgiven)


@pytest.mark.parametrize(
    "written", [None, "", "ls", "bash ls", "bash\n```bash\n```", "finished it", "answer 3", "go to x"]
)
def test_what_is_no_action_is_none(written):
    assert parse(written) is None


@given(st.text(max_size=300))
def test_never_raises(text):
    parse(text)
    parse(f"bash\n```{text}```")


@given(st.text(alphabet="abc \n$'\"\\|(){}", min_size=1).filter(lambda t: t.strip() == t and t))
def test_scripts_and_answers_survive_rendering(text):
    assert parse(render(Command("bash", text))) == Command("bash", text)
    assert parse(render(Command("answer", text))) == Command("answer", text)
