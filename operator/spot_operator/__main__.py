"""`python -m spot_operator`: flags and environment to settings, and the process's exit code."""

import os
import sys

from spot_operator.control.errors import ControlError
from spot_operator.observability.logs import configure
from spot_operator.settings import parse
from spot_operator.shell import run

__all__ = ["main"]


def main() -> None:
    """Run the operator. Exit code 0: ended by a signal; 1: anything else."""
    settings = parse(sys.argv[1:], os.environ)
    configure(settings.log_level, settings.log_format)
    try:
        fault = run(settings)
    except (ControlError, OSError) as error:
        sys.exit(f"spot-operator: {error}")
    sys.exit(1 if fault is not None else 0)


if __name__ == "__main__":
    main()
