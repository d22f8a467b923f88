"""Kubernetes quantities of bytes: "512Mi", "1.5Gi", "2G", or a bare number.

The form: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator

_BINARY: Final = {
    unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL: Final = {
    unit: 1000**power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))
}
_QUANTITY = re.compile(r"\+?(\d+(?:\.\d*)?|\.\d+)([KMGTPE]i|[kMGTPE]|[eE][+-]?\d{1,2}|)", re.ASCII)


def parse_bytes(value: str | int) -> int:
    """Bytes of a quantity, rounded up to a whole byte. Raises ValueError for any other text."""
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(f'{value!r} is not a quantity of bytes: write it as "512Mi" or "1Gi"')
    number, unit = match.groups()
    return int((Decimal(number) * _factor(unit)).to_integral_value(ROUND_CEILING))


def _factor(unit: str) -> Decimal:
    known = _BINARY.get(unit) or _DECIMAL.get(unit)
    return Decimal(known) if known else Decimal(f"1{unit}")


def _read(value: object) -> object:
    return parse_bytes(value) if isinstance(value, str) else value


Bytes = Annotated[int, BeforeValidator(_read)]
"""Whole bytes; a quantity such as "1Gi", or a number, in JSON."""
