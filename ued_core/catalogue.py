"""How methods of one kind are listed: the entries of this project, and those that installed packages register."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from ued_core.errors import ParameterError, UnknownName
from ued_core.params import Method

M = TypeVar("M", bound=Method)


class Catalogue(Mapping[str, type[M]], Generic[M]):
    """The explicit list of everything of one kind: name → class.

    Args:
        kind: the word for one entry, used in messages (``"attack"``).
        entries: the classes, in the order in which they are shown.
    """

    def __init__(self, kind: str, entries: Sequence[type[M]]) -> None:
        self.kind = kind
        self._entries = {entry.key: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise ValueError(f"two {kind} entries share one key")

    def __getitem__(self, name: str) -> type[M]:
        if not isinstance(name, str) or name not in self._entries:
            raise UnknownName(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def build(self, name: str, **values: Any) -> M:
        """A configured entry.

        Raises:
            UnknownName: no such entry.
            ParameterError: a value outside its declaration.
        """
        return self[name](**values)

    def parse(self, value: Any) -> M:
        """Read what :meth:`Method.to_json` wrote; a bare name means its defaults."""
        if isinstance(value, str):
            return self.build(value)
        if not isinstance(value, Mapping) or "name" not in value:
            raise ParameterError(
                f"The {self.kind} is {value!r}, but it must be a name or an object with a 'name'.",
                f'For example {{"name": "{next(iter(self._entries))}"}}.',
            )
        values = {k: v for k, v in value.items() if k != "name"}
        return self.build(value["name"], **values)
