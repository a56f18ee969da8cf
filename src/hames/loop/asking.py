"""Who is asked now, and the beginning that all requests to it share."""

from collections.abc import Callable, Sequence

import msgspec

from hames.context.assemble import Assembler
from hames.core.errors import ModelError
from hames.core.events import SettingsPinned, Usage
from hames.core.ports import AskOptions, BodyWire, Gate, Model, Pinned
from hames.core.profiles import ModelProfile


class Answerer(msgspec.Struct, frozen=True):
    """A model that can be asked: who answers, in which protocol, by which rules, at what price.

    `price` gives 1e-9 US dollars for a usage at a wall time, None when it is not known. `gate` lets requests
    through. `mend` names the rule that a refused request has broken, empty if none is known, and `remade`
    gives the same model again, spoken to by these rules; `mends` are those that hold already.
    """

    model: Model
    wire: BodyWire
    profile: ModelProfile
    price: Callable[[Usage, float], int | None]
    gate: Gate
    mend: Callable[[ModelError], str]
    remade: "Callable[[tuple[str, ...]], Answerer]"
    mends: tuple[str, ...] = ()
    options: AskOptions = AskOptions()

    @property
    def name(self) -> str:
        """As a person names it: `provider/model`."""
        return f"{self.profile.provider.name}/{self.profile.model}"

    def is_pinned_by(self, pin: SettingsPinned) -> bool:
        """Whether requests made with `pin` can be gone on with."""
        profile = self.profile
        return (pin.provider, pin.model, pin.wire) == (profile.provider.name, profile.model, profile.form)

    def with_mends(self, mends: tuple[str, ...]) -> "Answerer":
        """The same model, spoken to by these rules."""
        return self if mends == self.mends else self.remade(mends)


class Asking:
    """Who is asked now, of those that may be, in the order of preference. The first is the user's choice.

    `pinned` is what all its requests share, and `assembler` makes them. `spent_before_s` is how much of the
    trouble with this step was there before it was asked.
    """

    def __init__(self, answerers: Sequence[Answerer]) -> None:
        self._answerers = list(answerers)
        self._down_until = [0.0] * len(answerers)
        self._failed = [0] * len(answerers)
        self._at = 0
        self.assembler = Assembler(answerers[0].wire)
        self.pinned: Pinned | None = None
        self.spent_before_s = 0.0

    @property
    def at(self) -> int:
        """The place of who is asked now."""
        return self._at

    @property
    def count(self) -> int:
        """How many may be asked."""
        return len(self._answerers)

    @property
    def answerer(self) -> Answerer:
        """Who is asked now."""
        return self._answerers[self._at]

    @property
    def first(self) -> Answerer:
        """The user's choice."""
        return self._answerers[0]

    @property
    def on_probation(self) -> bool:
        """Whether who is asked now has failed the last time, and not answered since."""
        return self._failed[self._at] > 0

    def place_of(self, pin: SettingsPinned) -> int | None:
        """Whose requests were made with `pin`."""
        return next((at for at, one in enumerate(self._answerers) if one.is_pinned_by(pin)), None)

    def turn_to(self, at: int, mends: tuple[str, ...] | None = None) -> None:
        """Ask the one at this place, by these rules, from now on. Its requests begin with `begin`."""
        self._at = at
        if mends is not None:
            self._answerers[at] = self.answerer.with_mends(mends)
        self.assembler = Assembler(self.answerer.wire)

    def take_up(self, at: int, pin: SettingsPinned, pinned: Pinned) -> None:
        """Go on with the one at this place, as `pin` has left it."""
        self.turn_to(at, pin.mends)
        if at:
            self._down_until[0], self._failed[0] = pin.instead_until_ms / 1000, 1
        self.begin(pinned)

    def begin(self, pinned: Pinned) -> None:
        """Start a segment of requests."""
        self.pinned = pinned
        self.assembler.begin(pinned)

    def begin_again(self) -> None:
        """Start a segment with what is pinned already, for who is asked now."""
        assert self.pinned is not None
        self.begin(msgspec.structs.replace(self.pinned, model=self.answerer.profile.model))

    def down_until(self, at: int) -> float:
        """Until when, by the wall clock, the one at this place is better not asked."""
        return self._down_until[at]

    def set_down(self, at: int, until: float) -> None:
        """The one at this place is better not asked before the wall time `until`."""
        self._down_until[at] = until
        self._failed[at] += 1

    def failures(self, at: int) -> int:
        """How often in a row another one had to stand in for the one at this place."""
        return self._failed[at]

    def answered(self) -> None:
        """Who is asked now has answered."""
        self._failed[self._at] = 0
        self._down_until[self._at] = 0.0
        self.spent_before_s = 0.0
