"""Logs on standard error: one line each, JSON for machines or text for people."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

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
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, form: Format) -> None:
    """Set up logging for the whole process; to be called once, first."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
