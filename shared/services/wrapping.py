"""Link keys under a passphrase: scrypt (RFC 7914) makes a key of it, AES-256-GCM (NIST SP 800-38D) wraps them."""

import base64
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MIN_PASSPHRASE = 12
"""Characters: the wrapped keys may be tried offline."""

_COST, _BLOCK, _PARALLEL = 2**16, 8, 1
"""64 MiB and a fifth of a second for each attempt."""


class WrongPassphrase(ValueError):
    """The passphrase is not the one, or what it opens was changed."""


def wrap(data: bytes, passphrase: str, of: str) -> dict[str, Any]:
    """Return `data` wrapped, as JSON holds it; it opens with the same passphrase and the same `of` only."""
    salt, nonce = os.urandom(16), os.urandom(12)
    wrapped = AESGCM(_key(passphrase, salt, _COST)).encrypt(nonce, data, of.encode())
    return {
        "kdf": "scrypt",
        "n": _COST,
        "r": _BLOCK,
        "p": _PARALLEL,
        "salt": _text(salt),
        "cipher": "AES-256-GCM",
        "nonce": _text(nonce),
        "wrapped": _text(wrapped),
    }


def unwrap(box: dict[str, Any], passphrase: str, of: str) -> bytes:
    """Return what was wrapped; raise `WrongPassphrase`, also where `box` is none of ours."""
    try:
        if (box["kdf"], box["n"], box["r"], box["p"]) != ("scrypt", _COST, _BLOCK, _PARALLEL):
            raise WrongPassphrase("the link keys are wrapped in a way that is not known here")
        key = _key(passphrase, base64.b64decode(box["salt"]), _COST)
        return AESGCM(key).decrypt(base64.b64decode(box["nonce"]), base64.b64decode(box["wrapped"]), of.encode())
    except (KeyError, TypeError):
        raise WrongPassphrase("the link keys are not as they were exported") from None
    except (InvalidTag, ValueError) as error:
        if isinstance(error, WrongPassphrase):
            raise
        raise WrongPassphrase(
            "the passphrase is wrong, or the link keys were changed after they were exported"
        ) from None


def _key(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=_BLOCK, p=_PARALLEL).derive(passphrase.encode())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
