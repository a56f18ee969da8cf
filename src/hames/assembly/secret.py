"""Values that never print themselves."""

from collections.abc import Iterator, Mapping


class Secret:
    """A key or password. Only `reveal` gives it away; printing, formatting and encoding do not."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not to be stored")


class Environ(Mapping[str, str]):
    """The environment as it was at the start. It does not print its values."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environ({len(self)} variables)"

    def secret(self, name: str) -> Secret | None:
        """The value of `name` as a secret; None when it is unset or blank."""
        value = self._values.get(name, "").strip()
        return Secret(value) if value else None

    def either_case(self, name: str) -> str:
        """The value of `name` in lower or upper case, as proxies are set; empty when unset."""
        return self._values.get(name.lower()) or self._values.get(name.upper()) or ""
