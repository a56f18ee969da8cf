import pytest

from hames.context.families import family, is_look, says_all, says_one


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("pytest -q", "pytest"),
        ("cd x && python3.11 -m pytest tests/a.py 2>&1", "pytest"),
        ("cd x; pytest | tail -5", "pytest"),
        ("timeout 60 uv run pytest -x", "pytest"),
        (".venv/bin/python -m pytest", "pytest"),
        ("A=1 B=2 npx jest a.test.js > out.txt", "jest"),
        ("npm run test -- --watch", "npm test"),
        ("npm test", "npm test"),
        ("cargo test some_name", "cargo test"),
        ("go test ./...", "go test"),
        ("make", "make"),
        ("time -p make all &", "make all"),
        ("python setup.py build", "python setup.py"),
        ("python -m", "python"),
        ("/usr/bin/gcc-12 -c a.c", "gcc-"),
        ("python -c 'import a; a.b()'", "python"),
        ("python - <<EOF && make all\nimport a\nEOF", "make all"),
        ("A=1", ""),
        ("echo 'open", ""),
        ("uv run", "uv run"),
        ("git commit -m \"$(cat <<'EOF'\nFix; it\n\nBy: me\nEOF\n)\"", "git commit"),
        ("python - <<EOF\nimport a\nEOF", "python"),
        ("cat > a.py << 'EOF'\nx = 1\nEOF\npytest -q", "pytest"),
        ("pytest -k 'a; b' && echo \"it's; done\"", "echo"),
        ("bash -c <<X", "bash"),
        ("", ""),
    ],
)
def test_a_family_is_the_last_program_of_a_chain_and_its_task(command: str, name: str) -> None:
    assert family(command) == name


@pytest.mark.parametrize(
    ("command", "look"),
    [("grep x y", True), ("cd a && [ -f b ]", True), ("git commit -m x", True), ("make", False)],
)
def test_a_look_that_finds_nothing_and_a_refused_commit_are_no_failures(command: str, look: bool) -> None:
    assert is_look(command) == look


@pytest.mark.parametrize(
    ("command", "all_of_it", "one"),
    [
        ("pytest -q", True, True),
        ("pytest -q 2>&1", True, True),
        ("pytest &> out", True, True),
        ("cd a && pytest", True, False),
        ("pytest | tail -3", False, True),
        ("pytest || true", False, True),
        ("pytest; echo $?", False, False),
        ("pytest\necho", False, False),
        ("pytest &", False, True),
        ("pytest -k 'a|b;c'", True, True),
    ],
)
def test_what_an_exit_code_speaks_for(command: str, all_of_it: bool, one: bool) -> None:
    assert (says_all(command), says_one(command)) == (all_of_it, one)
