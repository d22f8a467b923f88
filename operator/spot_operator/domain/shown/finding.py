"""What a condition should say now."""

from dataclasses import dataclass
from typing import Literal

from spot_operator.api.names import Ending, Reason

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Status, reason and message of a condition, as things stand."""

    status: Status
    reason: Reason | Ending
    message: str
