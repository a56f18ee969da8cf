"""No sandbox."""

import pytest

from hames.core.ids import JobId
from hames.core.ports import CommandSpec
from hames.sandboxes.unconfined import Unconfined


@pytest.mark.anyio
async def test_nothing_is_confined_and_it_says_so() -> None:
    report = await Unconfined().probe()
    assert (report.name, report.problem) == ("none", "")
    assert (report.confines_writes, report.confines_reads, report.confines_network) == (False, False, False)


def test_the_command_stays_as_it_is() -> None:
    spec = CommandSpec(JobId("1.0"), ("echo", "x"), "/srv", {"A": "b"})
    plan = Unconfined().wrap(spec)
    assert (plan.argv, plan.cwd, plan.env, plan.reports_start) == (spec.argv, "/srv", spec.env, False)
