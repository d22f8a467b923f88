"""What the operator says to a running pod: grant, notice, certificate bundle, as annotations."""

import json
import logging
from collections.abc import Callable, Mapping

from spot_sidecar.notices.notice import Notice, read_notice
from spot_sidecar.resume import grant

__all__ = ["BUNDLE", "GRANT", "NOTICE", "AnnotationReader"]

log = logging.getLogger(__name__)

GRANT = grant.ANNOTATION
NOTICE = "spottraining.dev/notice"
BUNDLE = "spottraining.dev/ca"


class AnnotationReader:
    """Hands each annotation of ours to whom it is for; unreadable ones are logged, not obeyed."""

    def __init__(
        self,
        *,
        desk: grant.GrantDesk,
        tell: Callable[[Notice], object],
        trust: Callable[[str | None], object],
    ) -> None:
        self._desk = desk
        self._tell = tell
        self._trust = trust

    def read(self, annotations: Mapping[str, str]) -> None:
        """Take the pod's annotations as they are now."""
        self._trust(annotations.get(BUNDLE))
        self._desk.read(annotations)
        notice = annotations.get(NOTICE)
        if notice is None:
            return
        try:
            self._tell(read_notice(json.loads(notice)))
        except ValueError as error:
            log.warning("the notice annotation cannot be read: %s", error)
