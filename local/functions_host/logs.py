"""Logging of a local host: one line per event on standard error, a traceback below where there is one."""

import logging

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}
"""host.json's names for log levels."""

QUIET = ("azure", "azure.core", "azure.identity", "uvicorn", "asyncio", "msal", "httpx")
"""Loggers of libraries, of which only warnings are wanted: their lines would carry addresses and query strings."""


def configure_logging(level: str) -> None:
    """Log to standard error from this level of host.json on. Raises ValueError for an unknown level."""
    if level.lower() not in LEVELS:
        raise ValueError(f"host.json: log level {level!r} is none of {', '.join(LEVELS)}")
    logging.basicConfig(
        level=LEVELS[level.lower()], format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S", force=True,
    )  # fmt: skip
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warnings are a line per malformed request of a scanner.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # The worker logs a failed invocation without saying which; the host logs it with name and id.
    logging.getLogger("azure.functions").addFilter(lambda record: "nvocation failed" not in record.getMessage())
