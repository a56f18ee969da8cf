import sqlite3
from pathlib import Path

from tests.torture.crash import commit_ends


def test_the_end_of_each_transaction_is_found_in_a_write_ahead_log(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    sizes: list[int] = []
    wal = tmp_path / "x.db-wal"
    for number in range(3):
        connection.execute(f"CREATE TABLE t{number} (x)")
        sizes.append(wal.stat().st_size)
    data = wal.read_bytes()
    connection.close()
    assert commit_ends(data) == sizes
    assert commit_ends(data[:-1]) == sizes[:-1]
    assert commit_ends(b"") == []
