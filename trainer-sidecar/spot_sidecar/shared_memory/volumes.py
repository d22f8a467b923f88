"""The shared memory volume as the trainer finds it, and what an earlier run left in it."""

import json
import logging

from spot_sidecar.config.paths import GROUP_DIR, Paths
from spot_sidecar.notices.notice import Notice, read_notice

__all__ = ["leftover_notice", "prepare_volumes"]

log = logging.getLogger(__name__)


def prepare_volumes(paths: Paths) -> None:
    """Make the folders that are missing (tests; in a pod they are mounts)."""
    for folder in (paths.shared, paths.private):
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(GROUP_DIR)


def leftover_notice(paths: Paths) -> Notice | None:
    """The notice that was in force when this container was restarted."""
    try:
        return read_notice(json.loads(paths.notice.read_text()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning("notice.json of an earlier run cannot be read: %s", error)
        return None
