"""Log records without addresses and tokens, and with what they are about, whoever logs and wherever the records go.

A filter of a logger does not see what its children log, and one of a handler serves that handler alone: what serves
them all is the factory that makes the records. It runs only for records that are logged.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from shared.engagement.redaction import redact as redacted

ABOUT = "about"
"""The attribute of a log record that holds what the work was about: the names and ids that `about` was given."""

_about: ContextVar[Mapping[str, str]] = ContextVar(ABOUT)


class _Redacting:
    """Makes log records by another factory, takes out of them what no log may hold, and adds what they are about."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*args, **kwargs)
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError, AttributeError):
            # Left to the handler it would print the arguments as they are.
            text = f"{record.msg} (its arguments do not fit)"
        record.msg, record.args = redacted(text), ()
        if record.exc_info and record.exc_info[0] is not None:
            # Formatters take a traceback that is there already.
            record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
        setattr(record, ABOUT, _about.get({}))
        return record


def about(organization: str, email: str = "") -> None:
    """Let what this task and the tasks that it starts log from now on say which organization and email it is about.

    To be said where a function begins its work: the worker gives each invocation a task of its own.
    """
    _about.set({"organization": organization} | ({"email": email} if email else {}))


def redact() -> None:
    """Redact what is logged in this process from now on. Calling it again changes nothing."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Redacting):
        logging.setLogRecordFactory(_Redacting(make))
