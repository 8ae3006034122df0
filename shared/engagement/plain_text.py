"""What a line of text is, decided once for subjects, names, addresses and file names, by Unicode's data.

Two rules. What a person **writes** as a line (a subject, a display name) is kept as it was written and made one line
wherever it is used as one: `fold` for the mail that leaves, where it is the sender's own, `harmless` for a sentence of
ours, where it is a stranger's. What a machine **goes by** (an address, a file's name) or a reader trusts at a glance
(the name of a person) may not hold what cannot be seen or turns the text around, and is refused: `complaint`.

Sources: Unicode 15.1 general categories, UAX #9 (directional formatting characters), UTR #36 section 3.2 (they make a
text read as another), RFC 5322 section 2.2 and RFC 6532 section 3.2 (a header is one line).
"""

import re
import unicodedata

BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Control characters and Unicode's own two: among them is all that ``str.splitlines``, and so Python's mail library,
ends a line at."""
_TURNING = "\u202a-\u202e\u2066-\u2069"
_UNSEEN = re.compile(
    f"[\x00-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028\u2029{_TURNING}"
    "\u2060-\u2065\u206a-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e00ff]+"
)
_JOINERS = "\u200c\u200d"
"""Zero-width joiner and non-joiner: Persian, Indic scripts and emoji are written with them (UAX #31 section 2.3)."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""What shows nothing though its category is of letters, marks and symbols (default-ignorable, and Braille's blank)."""


def whole(text: str) -> str:
    """Return text in whole characters: half a surrogate pair is none, and no encoding of mail can carry it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fold(text: str) -> str:
    """Return a text as one line of whole characters: each line end and control character becomes a space.

    >>> fold("Our\\r\\noffer\\u2028of May")
    'Our  offer of May'
    """
    return BREAKS.sub(lambda found: " " * len(found[0]), whole(text))


def harmless(text: str) -> str:
    """Return a text as one line of visible characters that read in their order, whatever a stranger chose.

    >>> harmless("a\\r\\nb\\u202egpj.exe")
    'a b gpj.exe'
    """
    return _UNSEEN.sub(" ", whole(text)).strip()


def complaint(text: str, *, joiners: bool = False) -> str:
    """Return what is wrong with an address or, `joiners` let pass, a file's name, naming the first character that may
    not be in it and its position from 1; "" where nothing is.

    >>> complaint("invoice\\u202efdp.exe")
    'it has U+202E RIGHT-TO-LEFT OVERRIDE at position 8: remove such control characters and invisible ones'
    """
    return next((_said(at, text) for at, one in enumerate(text) if not _is_plain(one, joiners)), "")


def complaint_of_name(text: str) -> str:
    """Return what is wrong with a display name, as `complaint` does: it is one line that reads in its order. What else
    cannot be seen, as soft hyphens and joiners, is let pass, because names are copied from where it stands.

    >>> complaint_of_name("\\u06cc\\u200c\\u06cc"), complaint_of_name("Ada\\nBob")[:13]
    ('', 'it has U+000A')
    """
    match = _UNFIT_FOR_NAMES.search(text)
    return _said(match.start(), text) if match else ""


_UNFIT_FOR_NAMES = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_TURNING}]")


def _is_plain(one: str, joiners: bool) -> bool:
    """Return whether a character shows, or is a joiner that may be there. One that is not assigned yet shows as a box,
    and may be in use: the data of Unicode here are older than the newest emoji."""
    category = unicodedata.category(one)
    if one in _BLANK or category in ("Cc", "Cs", "Co", "Zl", "Zp"):
        return False
    if category == "Cf":
        return joiners and one in _JOINERS
    return category != "Cn" or not (_is_noncharacter(one) or _UNSEEN.match(one))


def _is_noncharacter(one: str) -> bool:
    return "\ufdd0" <= one <= "\ufdef" or ord(one) & 0xFFFE == 0xFFFE


def _said(at: int, text: str) -> str:
    one = text[at]
    name = unicodedata.name(one, "") or {"\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\0": "NULL"}.get(one, "")
    what = f"U+{ord(one):04X} {name}".rstrip()
    return f"it has {what} at position {at + 1}: remove such control characters and invisible ones"
