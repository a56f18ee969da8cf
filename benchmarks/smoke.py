"""Do the benchmarks run? One short round of each; no timing decides.

python benchmarks/smoke.py
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROUNDS = (
    ("steps.py", "--quick"),
    ("launcher.py", "--quick"),
    ("durable.py", "--quick"),
    ("snapshots.py", "--quick"),
    ("chunks.py", "--quick"),
    ("compound.py", "--quick"),
    ("soak.py", "--quick"),
)


def main() -> int:
    for name, *flags in ROUNDS:
        ran = subprocess.run(
            [sys.executable, str(HERE / name), *flags],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if ran.returncode != 0 or "{" not in ran.stdout:
            print(f"{name} failed with {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
            return 1
        print(f"{name} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
