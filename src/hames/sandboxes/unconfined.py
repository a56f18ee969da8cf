"""No boundary at all: the explicit choice `--sandbox none`."""

from hames.core.ports import CommandSpec, LaunchPlan, SandboxReport


class Unconfined:
    """The `Sandbox` port without a sandbox. Commands can do all that the user can."""

    @property
    def name(self) -> str:
        """As in `--sandbox NAME`."""
        return "none"

    def wrap(self, spec: CommandSpec) -> LaunchPlan:
        """See `Sandbox`: the command as it is."""
        return LaunchPlan(spec.argv, spec.cwd, spec.env, reports_start=False)

    async def probe(self) -> SandboxReport:
        """See `Sandbox`: nothing is confined, and nothing can fail."""
        return SandboxReport("none", "", False, False, False)
