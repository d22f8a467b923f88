"""Our own kinds, as resources of the API server."""

from typing import Final

from spot_operator.api import names
from spot_operator.control.resource import Resource

__all__ = ["JOBS", "POLICIES"]

JOBS: Final = Resource(names.GROUP, names.VERSION, names.JOB_PLURAL, names.JOB_KIND)
POLICIES: Final = Resource(
    names.GROUP, names.VERSION, names.POLICY_PLURAL, names.POLICY_KIND, namespaced=False
)
