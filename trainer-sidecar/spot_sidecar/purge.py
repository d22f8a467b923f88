"""`python -m spot_sidecar.purge`: deletes the lineage of a job that is being deleted.

The operator starts it once nothing of the job runs any more, in a pod of its own with the job's
identity. The termination message says what was deleted, or why not. Exit codes: 0 everything is
gone but what is pinned, 1 not everything, 2 the environment cannot be used. It may be run again.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spot_training.checkpoint.purge import Purged, purge
from spot_training.checkpoint.store import Store, StoreError
from spot_training.checkpoint.stores.directory import DirectoryStore

from spot_sidecar.config.paths import Paths
from spot_sidecar.config.spot_config import ConfigError, PurgeConfig, parse_purge_config
from spot_sidecar.lineage.connect import store_of
from spot_sidecar.observability.logs import log_to_stderr
from spot_sidecar.state.last_word import write_last_word

__all__ = ["main", "purge_lineage"]

log = logging.getLogger("spot_sidecar.purge")

VERSION = 1
TEXT_LIMIT = 1024
"""Characters of what went wrong: it ends in a status of bounded size."""
NAMED = 16
"""Pinned checkpoints, of however many, that the message names."""


def main() -> None:
    """Purge once, and say what came of it."""
    log_to_stderr()
    # The first process of a container ignores SIGTERM unless it asks for it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    sys.exit(run(os.environ))


def run(environment: Mapping[str, str]) -> int:
    """Purge the lineage that SPOT_CONFIG names; the exit code."""
    try:
        purged = purge_lineage(parse_purge_config(environment.get("SPOT_CONFIG")))
    except (ConfigError, StoreError) as error:
        log.error("%s: %s", type(error).__name__, error)  # noqa: TRY400 - it is all there is to know
        _leave_word(environment, problem=f"{type(error).__name__}: {error}"[:TEXT_LIMIT])
        return 2 if isinstance(error, ConfigError) else 1
    log.info("purged", extra={"deleted": purged.deleted, "kept": purged.kept})
    problem = f"something still writes here: {purged.left} objects came during the deletion"
    _leave_word(
        environment,
        deleted=purged.deleted,
        kept=purged.kept[:NAMED],
        **({"problem": problem} if purged.left else {}),
    )
    return 1 if purged.left else 0


def purge_lineage(config: PurgeConfig) -> Purged:
    """Delete the lineage, and in a volume its folder; raises StoreError."""
    store = store_of(config.store, config.job)()
    purged = purge(store)
    if not purged.kept and not purged.left:
        _remove_folder(store)
    return purged


def _remove_folder(store: Store) -> None:
    """A bucket has no folders. That of all jobs of this name goes with the last of them."""
    if not isinstance(store, DirectoryStore):
        return
    store.discard()
    with suppress(OSError):
        store.root.parent.rmdir()


def _leave_word(environment: Mapping[str, str], **said: Any) -> None:
    body = json.dumps({"version": VERSION, **said}).encode()
    path: Path = Paths.from_environment(environment).termination_log
    try:
        write_last_word(path, body)
    except OSError as error:
        log.warning("no termination message: %s", error)


if __name__ == "__main__":
    main()
