"""The organization's columns that say where cards are told beside the page: by mail, and by a webhook.

The webhook's secret can be written and never read: it is null in every answer.
"""

from collections.abc import Mapping
from typing import Any

from shared.engagement.webhooks import read_secret, read_url
from shared.services.telling import is_local
from shared.webapi.errors import invalid

BY_MAIL, WEBHOOK, SECRET = "ee_alertbymail", "ee_alertwebhook", "ee_alertwebhooksecret"
_SETTINGS = {BY_MAIL: "alert_by_mail", WEBHOOK: "alert_webhook", SECRET: "alert_webhook_secret"}
SETTINGS = frozenset(_SETTINGS.values())
"""The settings behind these columns, which no row shows under their own names."""


def columns(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that may be read."""
    return {BY_MAIL: settings[_SETTINGS[BY_MAIL]], WEBHOOK: settings[_SETTINGS[WEBHOOK]] or None}


def take_settings(changed: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take these columns out of `changed` ("" for null) and return the settings that they stand for.

    Removing the webhook forgets its secret. Raises `Failure` 400 naming the column that is wrong.
    """
    new = {_SETTINGS[name]: changed.pop(name) for name in _SETTINGS if name in changed}
    url, secret = (new.get(_SETTINGS[name], settings[_SETTINGS[name]]) for name in (WEBHOOK, SECRET))
    if new.get(_SETTINGS[WEBHOOK]):
        new[_SETTINGS[WEBHOOK]] = _read(WEBHOOK, url)
    if new.get(_SETTINGS[SECRET]):
        _read(SECRET, secret)
    if url and not secret:
        raise invalid(f"'{SECRET}' cannot be null while there is an '{WEBHOOK}': a receiver must know who calls.")
    if new.get(_SETTINGS[SECRET]) and not url:
        raise invalid(f"'{SECRET}' belongs to an '{WEBHOOK}': give that too.")
    return new if url else {**new, _SETTINGS[SECRET]: ""}


def _read(name: str, value: str) -> str:
    try:
        if name == WEBHOOK:
            return read_url(value, local=is_local())
        read_secret(value)
    except ValueError as error:
        # What the value is stays out of the answer: it may hold a secret.
        raise invalid(f"'{name}' {error}.") from None
    return value
