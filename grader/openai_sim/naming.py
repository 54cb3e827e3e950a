"""One base that answers to all the names that courses use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from grader.openai_sim.models import adapter_of, base_names
from grader.openai_sim.serving import Served, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.openai_sim.store import Store
    from grader.predict.base_model import LoadedBase


class NamedServer(Server):
    """A server whose first base also answers as `base_names()`, from the same memory."""

    def __init__(self, bases: Mapping[str, LoadedBase], store: Store) -> None:
        """`store` knows the tuned models."""
        self._find = adapter_of(store)
        super().__init__(bases, self._find)

    def model(self, name: str) -> Served:
        """As the server; raises ApiError for a model that is not there or not any longer."""
        if name in base_names() and name not in self.bases:
            self._find(name)
            return replace(super().model(self.bases[0]), name=name)
        return super().model(name)
