"""Long pure work of requests, beside the event loop, in a lane of its own: no caller waits for a mail that is made."""

from shared.services.long_work import Lane

LARGE_BODY = 64 * 1024
"""Bytes of a body from which on reading it is done aside; what is smaller takes less time than changing threads is
worth."""
LARGE_QUERY = 1024
"""Characters of a query from which on parsing it is done aside."""

aside = Lane("web-api")
