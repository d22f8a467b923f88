"""The errors a person running a cluster can see.

ClusterError
├── PreconditionError   something has to be changed first; the message says what
├── CommandError        a program that we ran failed; the message ends with what it printed
└── NotReadyError       something did not come up in its time; the message ends with its log
"""


class ClusterError(Exception):
    """Anything that ends a command; the message says what to change or what was seen."""


class PreconditionError(ClusterError):
    """A right, program, name or state that has to be there first."""


class CommandError(ClusterError):
    """A program ended with an error, or not in its time."""


class NotReadyError(ClusterError):
    """A wait reached its limit."""
