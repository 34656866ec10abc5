"""Logs.

Law: ids, lengths, hashes and codes; never a prompt, a token or an address.  One line an event, control characters
escaped, so that text from outside cannot begin a second line.
"""

import logging
import sys

import structlog


def set_up(*, is_verbose: bool) -> None:
    """Send the project's logs to standard error, one JSON object a line."""
    level = logging.INFO if is_verbose else logging.WARNING
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for name in ("httpx2", "httpx", "openai", "anthropic", "psycopg"):  # they log the addresses they call
        logging.getLogger(name).setLevel(logging.ERROR)
