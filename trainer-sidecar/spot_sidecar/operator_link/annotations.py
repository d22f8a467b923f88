"""What the operator says to a running pod: grant, notice, certificate bundle, as annotations."""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta

from spot_sidecar.base.clock import Clock
from spot_sidecar.notices.notice import Notice, read_notice
from spot_sidecar.operator_link import grant
from spot_sidecar.state.pod_journal import PodJournal

__all__ = ["BUNDLE", "ENDED", "GRANT", "NOTICE", "AnnotationReader"]

log = logging.getLogger(__name__)

GRANT = grant.ANNOTATION
NOTICE = "spottraining.dev/notice"
BUNDLE = "spottraining.dev/ca"
ENDED = "spottraining.dev/trainer-ended"
MOVED = "noticeMoved"
"""What is remembered of a notice whose instants were another clock's."""
CLOCKS_DIFFER = timedelta(seconds=5)
"""By so much two machines' clocks may differ and count as the same."""
ARRIVES_WITHIN = timedelta(minutes=2)
"""A kubelet that is not woken looks at annotations every minute or so."""


class AnnotationReader:
    """Hands each annotation of ours to whom it is for; unreadable ones are logged, not obeyed."""

    def __init__(
        self,
        *,
        grants: grant.GrantWatcher,
        clock: Clock,
        journal: PodJournal,
        tell: Callable[[Notice], object],
        trust: Callable[[str | None], object],
        ended: Callable[[], object],
    ) -> None:
        """`ended` is called, perhaps often, once the operator has seen the trainer's end."""
        self._grants = grants
        self._clock = clock
        self._journal = journal
        self._tell = tell
        self._trust = trust
        self._ended = ended
        self._annotations: Mapping[str, str] = {}

    def follow(self, grants: grant.GrantWatcher) -> None:
        """Look for the grant of another attempt from now on."""
        self._grants = grants
        grants.read(self._annotations)

    def read(self, annotations: Mapping[str, str]) -> None:
        """Take the pod's annotations as they are now."""
        self._annotations = annotations
        self._trust(annotations.get(BUNDLE))
        self._grants.read(annotations)
        if ENDED in annotations:
            self._ended()
        notice = annotations.get(NOTICE)
        if notice is None:
            return
        try:
            self._tell(self._by_our_clock(notice))
        except (ValueError, OverflowError, RecursionError) as error:
            log.warning("the notice annotation cannot be read: %s", error)

    def _by_our_clock(self, text: str) -> Notice:
        """The notice, its instants moved to this node's clock where that is another one.

        Judged at the first sight, which a restarted container remembers. Raises ValueError.
        """
        known = self._journal.get(MOVED)
        if known is not None and known["text"] == text:
            return read_notice(known["notice"])
        notice, now = read_notice(json.loads(text)), self._clock.now()
        if -CLOCKS_DIFFER <= now - notice.observed_at <= ARRIVES_WITHIN:
            return notice
        moved = notice.moved(now - notice.observed_at)
        with suppress(OSError):
            self._journal.put(**{MOVED: {"text": text, "notice": moved.to_json()}})
        return moved
