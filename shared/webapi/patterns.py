"""Dataverse's text patterns: ``%`` stands for any characters, ``_`` for one."""


def matches(pattern: str, text: str) -> bool:
    """Return whether the whole of `text` fits `pattern`, in time linear in both for patterns in use.

    The usual greedy walk: after a ``%`` the earliest fit is taken, and only the last ``%`` is ever gone back to.

    >>> matches("%offer%", "your offer"), matches("o_fer", "offer"), matches("a%b", "acbd")
    (True, True, False)
    """
    p = t = 0
    star, resumed = -1, 0
    while t < len(text):
        if p < len(pattern) and pattern[p] == "%":
            star, resumed = p, t
            p += 1
        elif p < len(pattern) and pattern[p] in ("_", text[t]):
            p += 1
            t += 1
        elif star >= 0:
            resumed += 1
            p, t = star + 1, resumed
        else:
            return False
    return all(character == "%" for character in pattern[p:])
