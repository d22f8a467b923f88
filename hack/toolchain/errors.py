"""The errors a person running the toolchain can see.

ToolchainError
├── MissingError   something has to be installed or granted first; the message says what
└── StepError      a program that we ran failed; the message ends with its last output
"""


class ToolchainError(Exception):
    """Anything that ends a command; the message says what to change."""


class MissingError(ToolchainError):
    """A program, package, right or file that has to be there first."""


class StepError(ToolchainError):
    """A program that was run ended badly, or did not end in its time."""
