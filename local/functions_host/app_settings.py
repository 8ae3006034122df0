"""Application settings: local.settings.json (or the sample) under the process environment."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

SETTINGS_FILE = "local.settings.json"
SAMPLE_FILE = "local.settings.sample.json"


def load_app_settings(app: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return all settings of a local run: the file's `Values`, then the environment, which wins.

    The file is `local.settings.json` if present, else `local.settings.sample.json`, else nothing.
    Raises ValueError naming the file that is not understood.
    """
    return {**read_values(app), **environment}


def read_values(app: Path) -> dict[str, str]:
    """Return the `Values` of the settings file that counts. Raises ValueError naming a file not understood."""
    for name in (SETTINGS_FILE, SAMPLE_FILE):
        file = app / name
        if file.exists():
            return _read(file)
    return {}


def _read(file: Path) -> dict[str, str]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))["Values"]
        return {str(name): str(value) for name, value in values.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{file.name}: expected JSON with an object "Values" of names and texts ({error})') from error


def expand(text: str, settings: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by that app setting, as Azure does in bindings. Raises LookupError naming a missing one."""

    def value(match: re.Match[str]) -> str:
        if (found := settings.get(match[1])) is None:
            raise LookupError(f"the app setting {match[1]} is not set")
        return found

    return re.sub(r"%([^%\s]+)%", value, text)
