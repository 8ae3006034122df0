"""Character references of HTML: `&amp;`, `&#38;` and the rest, decoded as browsers do."""

import re
from html.entities import html5

_REFERENCE = re.compile(r"&(?:#[xX]([0-9a-fA-F]+);?|#([0-9]+);?|([A-Za-z][A-Za-z0-9]*)(;?))")
_LONGEST_WITHOUT_SEMICOLON = max(len(name) for name in html5 if not name.endswith(";"))
_REPLACEMENT = "\ufffd"


def decode_attribute(value: str) -> str:
    """The value of an attribute from its source text.

    Line ends become LF, NUL becomes U+FFFD, and a named reference without semicolon that is followed by `=` or a letter
    or digit stays as it is. Source: HTML Standard 13.2.3.5, 13.2.5.36 to 13.2.5.38, 13.2.5.72 and 13.2.5.73.

    >>> decode_attribute("?a=1&copy=2&amp;b=3&copy")
    '?a=1&copy=2&b=3©'
    """
    if "&" not in value and "\r" not in value and "\0" not in value:
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", _REPLACEMENT)
    return _REFERENCE.sub(_in_attribute, value)


def decode_text(value: str) -> str:
    """The text that a run of source text outside tags shows. Source: HTML Standard 13.2.5.72 and 13.2.5.73.

    >>> decode_text("Tom&ampJerry &notit; &#151;")
    'Tom&Jerry ¬it; —'
    """
    return _REFERENCE.sub(_in_text, value) if "&" in value else value


def _in_attribute(match: re.Match[str]) -> str:
    name = match[3]
    if name is None:
        return _numeric(match)
    if match[4]:
        return html5.get(f"{name};", match[0])
    follower = match.string[match.end() : match.end() + 1]
    return match[0] if follower == "=" else html5.get(name, match[0])


def _in_text(match: re.Match[str]) -> str:
    name = match[3]
    if name is None:
        return _numeric(match)
    if match[4] and f"{name};" in html5:
        return html5[f"{name};"]
    for length in range(min(len(name), _LONGEST_WITHOUT_SEMICOLON), 1, -1):
        if name[:length] in html5:
            return html5[name[:length]] + name[length:] + match[4]
    return match[0]


def _numeric(match: re.Match[str]) -> str:
    # Seven digits hold every code point; longer runs are refused before int() meets its own limit on digits.
    digits, base = (match[1], 16) if match[1] else (match[2], 10)
    digits = digits.lstrip("0") or "0"
    code = int(digits, base) if len(digits) <= 7 else 0
    if code == 0 or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        return _REPLACEMENT
    if 0x80 <= code <= 0x9F:
        # The five bytes that windows-1252 leaves undefined keep their code point.
        return bytes([code]).decode("cp1252", "ignore") or chr(code)
    return chr(code)
