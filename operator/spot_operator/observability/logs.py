"""Logs on standard error: one line each, JSON for machines or text for people.

A message may quote what tenants wrote, so none can look like a line of its own or steer a terminal.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal

from spot_operator.domain.formats.text import printable

__all__ = ["Format", "configure"]

Format = Literal["json", "text"]

_QUIET: Final = ("kopf", "aiohttp", "asyncio", "kubernetes")
"""Libraries whose chatter below WARNING says nothing of training jobs."""


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, message, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """One line per record; behind it, indented, the traceback if any."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The record's line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback's lines."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"    {printable(line)}" for line in lines)


def configure(level: str, form: Format) -> None:
    """Set up logging for the whole process; to be called once, first."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
