"""What a list looks like: its items, and whether there are more of them."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

Item = TypeVar("Item", bound=BaseModel)


class Listing(BaseModel, Generic[Item]):
    """A whole list."""

    object: Literal["list"]
    data: list[Item]


class Page(Listing[Item], Generic[Item]):
    """Part of a list; its last item's id, as `after`, asks for what follows."""

    has_more: bool


class NamedPage(Page[Item], Generic[Item]):
    """Part of a list that also names its ends; null in an empty one."""

    first_id: str | None
    last_id: str | None
