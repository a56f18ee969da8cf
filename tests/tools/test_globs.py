from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ArgumentProblem
from hames.tools.globs import Glob, read_glob


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*.py", ["a.py", "x/y/a.py"], ["a.pyc", "py"]),
        ("**/*.py", ["a.py", "x/y/a.py"], ["a.pyc"]),
        ("src/*.py", ["a.py"], ["x/a.py"]),
        ("src/**/*.py", ["a.py", "x/y/a.py"], ["a.js"]),
        ("src/**", ["a.py", "x/y"], []),
        ("src/", ["a.py", "x/y"], []),
        ("*.{ts,tsx}", ["a.ts", "x/a.tsx"], ["a.t", "a.ts,tsx"]),
        ("{a,b}/c", ["a/c", "b/c"], ["c", "d/c"]),
        ("{a/x,b}/*.c", ["a/x/f.c", "b/f.c"], ["a/f.c"]),
        ("test_?.[ch]", ["test_1.c", "x/test_2.h"], ["test_12.c", "test_1.d"]),
        ("[!a]*", ["b", "x/bc"], ["a", "x/ab"]),
        ("[]]x", ["]x"], ["x"]),
        ("a,b.txt", ["a,b.txt"], ["a"]),
        ("a+(b).txt", ["a+(b).txt"], ["aab.txt"]),
        ("\\*.txt", ["*.txt"], ["a.txt"]),
        ("**/x/**/y", ["x/y", "a/x/b/c/y"], ["xy", "x/yy"]),
        ("a/*/c/*.py", ["b/c/d.py"], ["c/d.py", "b/x/c/d.py"]),
    ],
)
def test_a_pattern_fits_what_it_says(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    glob = read_glob(pattern)
    assert [path for path in fits if not glob.fits(path)] == []
    assert [path for path in fits_not if glob.fits(path)] == []


@pytest.mark.parametrize(
    ("pattern", "root", "name"),
    [
        ("*.py", "", "*.py"),
        ("src/a/*.py", "src/a", "*.py"),
        ("./src/**/*.py", "src", "*.py"),
        ("/etc/*.conf", "/etc", "*.conf"),
        ("/*.conf", "/", "*.conf"),
        ("../x/*", "../x", "*"),
        ("src/**", "src", ""),
        ("src/exact.py", "src", "exact.py"),
        ("src/{a/b,c}/d", "src", "d"),
        ("src/{a/b,c}", "src", ""),
    ],
)
def test_the_search_starts_as_deep_as_the_pattern_allows(pattern: str, root: str, name: str) -> None:
    glob = read_glob(pattern)
    assert (glob.root, glob.name) == (root, name)


@pytest.mark.parametrize("pattern", ["{a", "a}", "*" * 40, "a/{b,/c", "[z-a]"])
def test_a_pattern_that_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(ArgumentProblem):
        read_glob(pattern)


@given(st.text("ab.*?", min_size=1, max_size=8).filter(lambda p: "**" not in p), st.text("ab.", max_size=8))
def test_names_fit_as_they_do_in_the_shell(pattern: str, name: str) -> None:
    glob = read_glob(pattern)
    assert isinstance(glob, Glob)
    assert glob.fits(name) == fnmatchcase(name, pattern)
