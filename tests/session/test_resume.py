from hames.core.events import FilesRestored
from hames.session.resume import cut_short
from hames.testing.entries import entries
from tests.session.test_history import restoring, taken, tree


def test_a_restore_without_an_end_was_cut_short() -> None:
    restore = restoring(1, 2, 1)
    assert cut_short(entries(taken(1), restore, taken(2))) == restore
    assert cut_short(entries(restore, FilesRestored(tree=tree(2)), taken(3))) is None
    assert cut_short(entries(taken(1))) is None
