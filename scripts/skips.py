"""Fails when a test was skipped for a reason that CI does not know, or when no test ran."""

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree


def allowed(path: Path) -> list[str]:
    """Patterns of reasons, one a line; `#` starts a comment."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def main(report: Path, may_skip: Path) -> int:
    """Print the skipped tests of a JUnit report; the exit status says whether one had to run."""
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    patterns = allowed(may_skip)
    bad = 0
    for case in cases:
        for skip in case.iter("skipped"):
            reason = skip.get("message", "")
            fine = any(fnmatchcase(reason, pattern) for pattern in patterns)
            bad += not fine
            print(
                f"{'may skip' if fine else 'MUST RUN'}: {case.get('classname')} {case.get('name')}: {reason}"
            )
    print(f"{len(cases)} tests in the report, {bad} of them skipped that must run")
    return 1 if bad or not cases else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
