"""A project in the workspace, with all kinds of entries; and commands that harm it."""

import os
import shutil
import subprocess
from pathlib import Path
from random import Random

DIRECTORIES = 6
FILES = 28
_LARGE = (1_300_000, 300_000)
_ODD = (b"with space", b"two\nlines", b"-dash", b"quote'\"", "grün".encode(), b"not utf-8 \xff\xfe")
_OLD_NS = 1_000_000_000_123_456_789
_SETTINGS = ("user.name=a", "user.email=a@b.c", "gc.auto=0")

HARM = (
    "rm -rf .git/refs .git/HEAD; find .git/objects -name '*a*' -delete",
    "git checkout -q -b other; echo {nonce} > src/d1/f1; git add -A; git commit -qm {nonce}; git tag {nonce}",
    "git reset -q --hard; git clean -fdxq",
    "git repack -adq; git prune --expire now",
    "find src -name 'f*7' -delete; rm -rf src/d2",
    "sed -i s/line/{nonce}/ src/d3/*",
    "chmod -R go-rwx src; chmod 755 mode/*",
    "mv src moved-{nonce}; mkdir src; cp -r moved-{nonce}/d1 src",
    "for f in src/d4/*; do ln -sfn /nowhere $f; done; rm -f dangling; mkdir dangling",
    "head -c 1200000 /dev/urandom > large0; truncate -s 100 large1; rm -f odd/*",
    "rm -rf empty names; mkdir -p {nonce}/deep; for i in $(seq 60); do echo {nonce} $i > {nonce}/$i; done",
    "echo {nonce} >> names/one; touch src/d5/*; cp -p old src/d5/old-{nonce}; chmod 640 mode/private",
)
"""Shell commands, in the project. Any may find that another one was there before."""


def template(root: Path) -> Path:
    """A project to be copied, made once below `root`."""
    made = root / "project"
    if not made.exists():
        fresh = root / "project.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _make(fresh)
        fresh.rename(made)
    return made


def copy(source: Path, target: Path) -> None:
    """With links, modes and times."""
    subprocess.run(["cp", "-a", "--", str(source), str(target)], check=True)


def harm(random: Random, nonce: str) -> str:
    """A command that changes many files. It never fails."""
    drawn = random.sample(HARM, k=random.choice((1, 1, 2)))
    lines = "; ".join(drawn).replace("{nonce}", nonce)
    return f"(cd project; {lines}) > /dev/null 2>&1 || true"


def _make(root: Path) -> None:
    random = Random(1)
    for directory in range(DIRECTORIES):
        above = root / "src" / f"d{directory}"
        above.mkdir(parents=True)
        for number in range(FILES):
            (above / f"f{number}").write_text(f"line {directory} {number}\n" * (1 + number))
    _git(root, "init", "-q")
    for setting in _SETTINGS:
        _git(root, "config", *setting.split("="))
    _git(root, "add", "src")
    _git(root, "commit", "-qm", "first")
    _git(root, "repack", "-adq")
    (root / "src" / "d0" / "f0").write_text("changed\n")
    _git(root, "commit", "-aqm", "second")
    (root / "src" / "d0" / "f1").write_text("stashed\n")
    _git(root, "stash", "-q")
    for number, size in enumerate(_LARGE):
        (root / f"large{number}").write_bytes(random.randbytes(size))
    with (root / "sparse").open("wb") as file:
        file.truncate(8_000_000)
        file.write(b"one")
        file.seek(5_000_000)
        file.write(b"two")
    _make_odd(root)


def _make_odd(root: Path) -> None:
    for name in ("odd", "mode", "names"):
        (root / name).mkdir()
    for name in _ODD:
        Path(os.fsdecode(bytes(root / "odd") + b"/" + name)).write_bytes(name)
    (root / "empty").mkdir(mode=0o700)
    (root / "dangling").symlink_to("nowhere")
    (root / "to-src").symlink_to("src")
    (root / "names" / "one").write_text("of several names\n")
    (root / "names" / "two").hardlink_to(root / "names" / "one")
    (root / "also").hardlink_to(root / "names" / "one")
    for name, mode in (("private", 0o600), ("run", 0o755), ("shut", 0o400), ("sticky", 0o4711)):
        (root / "mode" / name).write_text(name)
        (root / "mode" / name).chmod(mode)
    (root / "old").touch()
    os.utime(root / "old", ns=(_OLD_NS, _OLD_NS))


def _git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True, env={"PATH": os.environ["PATH"]})
