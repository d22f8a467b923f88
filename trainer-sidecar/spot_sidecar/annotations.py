"""What the operator says to a running pod: grant, notice, certificate bundle, as annotations."""

import json
import logging
from collections.abc import Callable, Mapping

from spot_sidecar.notices.notice import Notice, read_notice
from spot_sidecar.resume import grant

__all__ = ["BUNDLE", "ENDED", "GRANT", "NOTICE", "AnnotationReader"]

log = logging.getLogger(__name__)

GRANT = grant.ANNOTATION
NOTICE = "spottraining.dev/notice"
BUNDLE = "spottraining.dev/ca"
ENDED = "spottraining.dev/trainer-ended"


class AnnotationReader:
    """Hands each annotation of ours to whom it is for; unreadable ones are logged, not obeyed."""

    def __init__(
        self,
        *,
        desk: grant.GrantDesk,
        tell: Callable[[Notice], object],
        trust: Callable[[str | None], object],
        ended: Callable[[], object],
    ) -> None:
        """`ended` is called, perhaps often, once the operator has seen the trainer's end."""
        self._desk = desk
        self._tell = tell
        self._trust = trust
        self._ended = ended

    def read(self, annotations: Mapping[str, str]) -> None:
        """Take the pod's annotations as they are now."""
        self._trust(annotations.get(BUNDLE))
        self._desk.read(annotations)
        if ENDED in annotations:
            self._ended()
        notice = annotations.get(NOTICE)
        if notice is None:
            return
        try:
            self._tell(read_notice(json.loads(notice)))
        except ValueError as error:
            log.warning("the notice annotation cannot be read: %s", error)
