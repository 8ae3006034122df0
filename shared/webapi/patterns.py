"""Dataverse's text patterns: ``%`` stands for any characters, ``_`` for one."""

from collections.abc import Callable
from dataclasses import dataclass, field

MAX_LENGTH = 1000
"""Characters of a pattern that a filter may have: what a step over a text costs grows with them."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two ``%``. `masks` and `wild` are for one with ``_`` in it: which places of the piece a
    character fits, as bits."""

    text: str
    masks: dict[str, int] = field(default_factory=dict)
    wild: int = 0

    def fits(self, text: str, place: int) -> bool:
        """Whether the piece fits a text at a place."""
        if not self.wild:
            return text.startswith(self.text, place)
        return all(
            mine in ("_", theirs) for mine, theirs in zip(self.text, text[place : place + len(self.text)], strict=True)
        )

    def find(self, text: str, start: int, end: int) -> int:
        """Return the first place from `start` on where the piece fits and ends before `end`, -1 for none.

        One step a character, whatever text and piece (Baeza-Yates and Gonnet, "A new approach to text searching"): a
        bit of `reached` says that the text up to here ends with so much of the piece.
        """
        if not self.wild:
            return text.find(self.text, start, end)
        reached, whole = 0, 1 << (len(self.text) - 1)
        for place in range(start, end):
            reached = (reached << 1 | 1) & self.masks.get(text[place], self.wild)
            if reached & whole:
                return place + 1 - len(self.text)
        return -1


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what decides whether the whole of a text fits `pattern`, in time linear in the text.

    Of what stands between two ``%`` the earliest fit is taken; nothing is ever gone back to.

    >>> matcher("%offer%")("your offer"), matcher("o_fer")("offer"), matcher("a%b")("acbd")
    (True, True, False)
    """
    first, *between = map(_piece, pattern.split("%"))
    if not between:
        return lambda text: len(text) == len(pattern) and first.fits(text, 0)
    last = between.pop()
    least = len(first.text) + len(last.text)

    def fits(text: str) -> bool:
        end = len(text) - len(last.text)
        if len(text) < least or not first.fits(text, 0) or not last.fits(text, end):
            return False
        place = len(first.text)
        for piece in between:
            found = piece.find(text, place, end) if piece.text else place
            if found < 0:
                return False
            place = found + len(piece.text)
        return True

    return fits


def _piece(text: str) -> _Piece:
    wild = sum(1 << place for place, character in enumerate(text) if character == "_")
    masks: dict[str, int] = {}
    if wild:
        for place, character in enumerate(text):
            masks[character] = masks.get(character, wild) | 1 << place
    return _Piece(text, masks, wild)
