"""Lazy registries: a name maps to ``"module:attribute"``, imported only when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from kdphys.errors import UnknownNameError


class Registry(Mapping[str, str]):
    """A read-only mapping of names to ``"module:attribute"`` strings.

    Args:
        kind: what the names stand for, used in error messages ("method", "data set").
        entries: name → ``"module:attribute"``.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> str:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._entries) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> Any:
        """Import and return what ``name`` stands for.

        Raises:
            UnknownNameError: the name is not registered; the message lists those that are.
        """
        module, _, attribute = self[name].partition(":")
        return getattr(import_module(module), attribute)
