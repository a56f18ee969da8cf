from pathlib import Path

import pytest

from tests.apps.outside import Outside


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path)
