"""The keys of links that an organization brings from another deployment, as text and in memory.

A deployment signs an organization's links with a key derived from its secret (`shared.engagement.tokens`). An
organization that moves takes these derived keys along, so that its old links keep working: they open its links and
nobody else's. They reach the recipients' path as an app setting for each organization, because nothing is looked up
there.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence

type LinkKeys = Mapping[tuple[str, int], Sequence[bytes]]
"""The keys by organization and key id; several where deployments have used the same id."""

LINK_KEYS = "LINK_KEYS_"
"""What the names of these app settings begin with; the organization's name in capitals follows."""
KEY_LENGTH = 32


def parse_link_keys(organization: str, text: str) -> dict[tuple[str, int], tuple[bytes, ...]]:
    """Return the keys that ``id:base64,id:base64`` spells; raise ValueError saying what is right.

    >>> list(parse_link_keys("contoso", dump_link_keys([(1, bytes(32)), (1, bytes([7] * 32))])))
    [('contoso', 1)]
    """
    found: dict[tuple[str, int], tuple[bytes, ...]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        number, _, value = entry.partition(":")
        try:
            key = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not number.isascii() or not number.isdigit() or int(number) > 255 or len(key) != KEY_LENGTH:
            raise ValueError(
                "must be id:key,... with ids 0-255 and keys of 32 bytes in base64, as `manage.py restore` writes it"
            )
        place = organization, int(number)
        found[place] = (*found.get(place, ()), key)
    return found


def dump_link_keys(keys: Iterable[tuple[int, bytes]]) -> str:
    """Return keys by id as the app setting spells them."""
    return ",".join(f"{number}:{base64.b64encode(key).decode()}" for number, key in keys)
