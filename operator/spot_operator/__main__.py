"""`python -m spot_operator`: flags and environment to settings, and the process's exit code."""

import os
import sys

from spot_operator.control.errors import ControlError
from spot_operator.observability.logs import configure
from spot_operator.settings import parse
from spot_operator.shell import run
from spot_operator.uninstall import COMMAND, release_jobs

__all__ = ["main"]


def main() -> None:
    """Run the operator. Exit code 0: ended by a signal; 1: anything else."""
    if sys.argv[1:2] == [COMMAND]:
        _release_jobs()
        return
    settings = parse(sys.argv[1:], os.environ)
    configure(settings.log_level, settings.log_format)
    try:
        fault = run(settings)
    except (ControlError, OSError) as error:
        sys.exit(f"spot-operator: {error}")
    sys.exit(1 if fault is not None else 0)


def _release_jobs() -> None:
    configure("info", "text")
    try:
        release_jobs(sys.argv[2:])
    except (ControlError, OSError) as error:
        sys.exit(f"spot-operator {COMMAND}: {error}")


if __name__ == "__main__":
    main()
