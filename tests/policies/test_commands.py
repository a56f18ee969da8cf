"""Commands as rules see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.policies.commands import (
    COMMAND_CHARS,
    PLAIN,
    RUNNER_WORDS,
    broad_words,
    fits_broadly,
    fits_exactly,
    hidden_commands,
    plain_words,
)


def hides(pattern: str, command: str) -> bool:
    hidden = hidden_commands(command)
    assert hidden is not None
    return any(fits_broadly(broad_words(pattern), words) for words in hidden)


@pytest.mark.parametrize("command", ["git status", "npm  run test:unit", "ls -la ./src", "make -j8 CC=gcc"])
def test_a_command_of_plain_words_is_plain(command: str) -> None:
    assert plain_words(command) == tuple(command.split())


@pytest.mark.parametrize(
    "command",
    [
        "",
        "   ",
        "git status; rm x",
        "git status && rm x",
        "git log -1\rtouch x",
        "git log\ntouch x",
        "ls $HOME",
        "ls $(id)",
        "ls `id`",
        "ls *.py",
        "cat .[e]nv",
        "cat ~/.ssh/id",
        "echo {a,b}",
        "echo 'a'",
        'echo "a"',
        "echo a > b",
        "cat < b",
        "A=b git status",
        "git\u00a0status",
        "ls \\",
        "ls #x",
        "ls !x",
        "ls\tx",
    ],
)
def test_anything_else_is_not_plain(command: str) -> None:
    assert plain_words(command) is None


@pytest.mark.parametrize(
    "command",
    [
        "git push",
        "git push origin main",
        "cd x && git push",
        "true;git push",
        "true | git push",
        "true &\ngit push",
        "(git push)",
        "{ git push; }",
        "$(git push)",
        "echo `git push`",
        'echo "$(git push)"',
        "A=b C+=d git push",
        "/usr/bin/git push",
        "'git' push",
        'g"i"t push',
        "g\\it push",
        "git \\\n push",
        "sudo -u bob git push",
        "timeout 5 git push",
        "env -i A=b git push",
        "bash -c 'git push'",
        "xargs -n1 git push",
        "if true; then git push; fi",
        "! git push",
        "</dev/null git push",
        ">out git push",
        "2>&1 git push",
        "&>log git push",
        ">|log git push",
        "cat <<E\nx\nE\ngit push",
        "find . -exec git push {} +",
        "{git,push}",
        "git\tpush",
        "true\rgit push",
    ],
)
def test_a_denied_command_is_found_where_a_shell_would_run_it(command: str) -> None:
    assert hides("git push *", command)


@pytest.mark.parametrize("command", ["git pull", "echo pushed", "gitx push", "grep push git", "", "A=b"])
def test_another_command_is_not_taken_for_it(command: str) -> None:
    assert not hides("git push *", command)


def test_a_command_that_is_too_long_to_look_into_is_told_apart() -> None:
    assert hidden_commands("x" * COMMAND_CHARS) is not None
    assert hidden_commands("x" * (COMMAND_CHARS + 1)) is None
    assert hidden_commands("xargs " + "a " * (RUNNER_WORDS - 1)) is not None
    assert hidden_commands("xargs " + "a " * RUNNER_WORDS) is None


@pytest.mark.parametrize(
    ("pattern", "command", "exactly", "broadly"),
    [
        ("git status", "git status", True, True),
        ("git status", "git status -s", False, False),
        ("git status", "git", False, False),
        ("npm run *", "npm run", True, True),
        ("npm run *", "npm run a b", True, True),
        ("npm run *", "npm runx", False, False),
        ("npm test*", "npm test:unit", True, True),
        ("npm test*", "npm test x", False, True),
        ("git * main", "git push main", True, True),
        ("git * main", "git push origin main", False, True),
        ("* --version", "node --version", True, True),
        ("*", "anything at all", True, True),
    ],
)
def test_allow_matches_word_by_word_and_deny_matches_broadly(
    pattern: str, command: str, exactly: bool, broadly: bool
) -> None:
    words = tuple(command.split())
    assert fits_exactly(tuple(pattern.split()), words) is exactly
    assert fits_broadly(broad_words(pattern), words) is broadly


plain_texts = st.text(alphabet=sorted(PLAIN), min_size=1, max_size=40)


@given(plain_texts)
def test_what_allow_matches_deny_matches_too(command: str) -> None:
    words = plain_words(command)
    if words is None or "/" in words[0] or "," in command:
        return
    assert fits_exactly(words, words)
    assert hides(command, command)


@given(plain_texts, st.sampled_from([";", "&&", "||", "|", "&", "\n", "$(", "`", "(", "<(", "{ "]))
def test_an_operator_before_a_command_hides_nothing(before: str, operator: str) -> None:
    assert hides("git push *", f"{before}{operator}git push x")


@given(st.text(max_size=60))
def test_looking_for_commands_never_fails(text: str) -> None:
    hidden = hidden_commands(text)
    assert hidden is not None
    assert all(words for words in hidden)
