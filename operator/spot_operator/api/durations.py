"""Durations as users write them: hours, minutes, seconds, as "90s", "5m" or "1h30m".

The form is the part of Go's (https://pkg.go.dev/time#ParseDuration) that people use: whole numbers,
each unit at most once, the largest first. CEL's `duration()` reads every text accepted here.
"""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

PATTERN: Final = "^([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$"
"""The form as a regular expression, which the empty text matches too."""
MAX_LENGTH: Final = 21
"""Characters of the longest."""

_PARTS = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration. Raises ValueError, which says how to write one."""
    match = _PARTS.fullmatch(text)
    if match is None or not text:
        raise ValueError(f'{text!r} is not a duration: write it as "90s", "5m" or "1h30m"')
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds so that `parse_duration` reads it back.

    Raises ValueError for a negative one, and for fractions of a second.
    """
    if duration < timedelta(0) or duration.microseconds:
        raise ValueError(f"{duration} cannot be written as a duration: use whole, positive seconds")
    minutes, seconds = divmod(duration.days * 86_400 + duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def read_duration(value: object) -> object:
    """What a model's field takes for a duration: a text is parsed, anything else left alone."""
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "maxLength": MAX_LENGTH}),
]
"""A `timedelta` that is a text such as "5m" in JSON."""
