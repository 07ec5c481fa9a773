"""One page on its way through a recipe."""

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View")


class Page:
    """A document: its text, and the rest of its record.

    What several steps need of a text (its words, its code points) is computed once a text by `view` and
    forgotten when the text changes, so that steps need not know of each other.

    Attributes:
        record: The JSON object that was read, without its text; steps add their keys to it (`url`, a
            language, a score), and what was read stays as it was.
    """

    __slots__ = ("_text", "_views", "record")

    def __init__(self, text: str, record: dict[str, Any] | None = None) -> None:
        self._text = text
        self._views: dict[Callable[[str], Any], Any] = {}
        self.record: dict[str, Any] = {} if record is None else record

    @property
    def text(self) -> str:
        """The text as the steps so far have left it."""
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self._views.clear()

    def view(self, make: Callable[[str], View]) -> View:
        """`make(text)`, computed once for as long as the text stays the same.

        `make` must be a function of the module level, since it is the key.
        """
        try:
            found: View = self._views[make]
        except KeyError:
            found = self._views[make] = make(self._text)
        return found

    def to_json(self) -> dict[str, Any]:
        """The record with the text in it, as it is written."""
        return {"text": self._text, **self.record}
