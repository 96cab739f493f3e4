"""How methods of one kind are listed: the entries of this project, and those that installed packages register.

A package registers a method by an entry point whose name is the method's key::

    [project.entry-points."ued_core.attacks"]
    tint = "my_package.tint:Tint"

The groups are ``ued_core.attacks``, ``ued_core.defenses``, ``ued_core.datasets``, ``ued_core.models``,
``ued_core.plans`` and ``ued_core.relabellings``. :mod:`ued_core.checks` says whether an attack or a defence keeps what
its kind promises.
"""

from __future__ import annotations

import fnmatch
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from ued_core.errors import ParameterError, UnknownName, in_short
from ued_core.params import Method

M = TypeVar("M", bound=Method)


class Catalogue(Mapping[str, type[M]], Generic[M]):
    """The list of everything of one kind: name → class.

    Args:
        kind: the word for one entry, used in messages (``"attack"``).
        entries: the classes, in the order in which they are shown.
        group: the group of entry points by which installed packages add entries; they are imported when the
            catalogue is first read, and stand behind the others. None where nobody can add any.
        base: what every entry must be derived from.
    """

    def __init__(
        self, kind: str, entries: Sequence[type[M]], group: str | None = None, base: type[Method] = Method
    ) -> None:
        self.kind = kind
        self._entries = {entry.key: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise ValueError(f"two {kind} entries share one key")
        self._base = base
        self._group = group
        self._providers: dict[str, str] = {}
        self._problems: list[str] = []
        self._lock = threading.RLock()

    def _listed(self) -> dict[str, type[M]]:
        """The entries, with those of installed packages; these are imported once."""
        with self._lock:
            # Taken first, so that a package that reads the catalogue while it is imported finds the entries before it.
            group, self._group = self._group, None
            for point in entry_points(group=group) if group else ():
                try:
                    self._entries[point.name] = self._loaded(point)
                    self._providers[point.name] = _provider(point)
                except Exception as error:
                    # Whatever a foreign module raises while it is imported; the other methods must still work.
                    told = f"{_provider(point)} registers the {self.kind} {point.name!r}, but {in_short(error)}."
                    self._problems.append(told)
                    warnings.warn(told, stacklevel=2)
        return self._entries

    def _loaded(self, point: EntryPoint) -> type[M]:
        if point.name in self._entries:
            raise ValueError("another method has this name")
        entry = point.load()
        if not (isinstance(entry, type) and issubclass(entry, self._base)):
            raise ValueError(f"{point.value} is no class derived from {self._base.__name__}")
        if entry.key != point.name:
            raise ValueError(f"the key of {point.value} is {entry.key!r}")
        return cast("type[M]", entry)

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each registered method that could not be taken."""
        self._listed()
        return tuple(self._problems)

    def provider(self, name: str) -> str:
        """The installed package, with its version, that registers a method; empty for one of this project."""
        self[name]
        return self._providers.get(name, "")

    def __getitem__(self, name: str) -> type[M]:
        entries = self._listed()
        if not isinstance(name, str) or name not in entries:
            raise UnknownName(self.kind, name, entries, " ".join(self._problems))
        return entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._listed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed())

    def __len__(self) -> int:
        return len(self._listed())

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
                f'For example {{"name": "{next(iter(self))}"}}.',
            )
        values = {k: v for k, v in value.items() if k != "name"}
        return self.build(value["name"], **values)

    def where(self, pattern: str = "*", **capabilities: Any) -> Catalogue[M]:
        """The entries whose name or title fits a pattern and that declare some capabilities.

        Args:
            pattern: as file names are matched: ``*`` stands for any text, ``?`` for one character; case is ignored.
            capabilities: attributes that every class of this kind declares, such as ``needs_whole_set=False``; where
                the declared value is a set, ``acts="purify"`` asks whether it holds the given one.

        Raises:
            ParameterError: no class of this kind declares such an attribute.
        """

        def fits(entry: type[M]) -> bool:
            declared = entry.capabilities()
            for name, value in capabilities.items():
                if name not in declared:
                    raise ParameterError(
                        f"Entries of kind {self.kind!r} are chosen by {name!r}, which they do not declare.",
                        f"They declare: {', '.join(declared) or 'nothing'}.",
                    )
                own = declared[name]
                if value not in own if isinstance(own, list) else value != own:
                    return False
            names = (entry.key, entry.title)
            return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in names)

        return Catalogue(self.kind, [entry for entry in self.values() if fits(entry)], base=self._base)


def _provider(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "An unknown package"
