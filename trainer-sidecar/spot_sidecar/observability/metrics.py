"""Every metric of the sidecar, in its own registry. Base units; labels only of bounded sets."""

import collections
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from spot_training.checkpoint.pruning import Pruned
from spot_training.checkpoint.retention import Reason

from spot_sidecar.notices.health import Health
from spot_sidecar.notices.notice import Notice
from spot_sidecar.state.attempt_state import CommitSeen

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Buckets from one memory copy to an upload of ten minutes."""


class Metrics:
    """The registry and the few ways to write into it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.write_seconds = Histogram(
            "spot_checkpoint_write_seconds",
            "From the hand-over of a snapshot to its commit.",
            ["reason"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.stall_seconds = Histogram(
            "spot_checkpoint_stall_seconds",
            "How long the trainer stood still for a snapshot.",
            ["reason"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.committed = Counter(
            "spot_checkpoints_committed_total",
            "Checkpoints this sidecar saw committed.",
            ["reason"],
            registry=self.registry,
        )
        self.uploaded = Counter(
            "spot_checkpoint_uploaded_bytes_total",
            "Bytes of snapshots made durable.",
            registry=self.registry,
        )
        self.restored = Counter(
            "spot_checkpoint_restored_bytes_total",
            "Bytes downloaded and verified to resume from.",
            registry=self.registry,
        )
        self.skipped = Counter(
            "spot_snapshots_skipped_total",
            "Periodic snapshots left out because both arenas were in use.",
            registry=self.registry,
        )
        self.ended = Counter(
            "spot_snapshots_ended_total",
            "Snapshots by how they ended.",
            ["state"],
            registry=self.registry,
        )
        self.notices = Counter(
            "spot_notices_total",
            "Changes of the notice in force, by who told and what.",
            ["source", "kind"],
            registry=self.registry,
        )
        self.source_up = Gauge(
            "spot_notice_source_up",
            "1 while a source of notices answers.",
            ["source"],
            registry=self.registry,
        )
        self.store_errors = Counter(
            "spot_store_errors_total",
            "Store calls that failed, by kind of error.",
            ["kind"],
            registry=self.registry,
        )
        self.interval = Gauge(
            "spot_checkpoint_interval_seconds",
            "The interval between checkpoints that is in force.",
            registry=self.registry,
        )
        self.interval_inputs = Gauge(
            "spot_checkpoint_interval_input",
            "What the interval depends on, by the name it has in the job's status.",
            ["input"],
            registry=self.registry,
        )
        self.held_back = Counter(
            "spot_uploads_held_back_total",
            "Uploads spread over time because they were seen to slow the trainer.",
            registry=self.registry,
        )
        self.kept = Gauge(
            "spot_checkpoints_kept",
            "Checkpoints that stay, by why.",
            ["reason"],
            registry=self.registry,
        )
        self.expiring = Gauge(
            "spot_checkpoints_expiring",
            "Checkpoints that are given up and not deleted yet.",
            registry=self.registry,
        )
        self.expired = Counter(
            "spot_checkpoints_expired_total",
            "Checkpoints given up because newer ones are verified.",
            registry=self.registry,
        )
        self.deleted = Counter(
            "spot_checkpoints_deleted_total",
            "Checkpoints deleted, an hour after they were given up.",
            registry=self.registry,
        )
        self.freed = Counter(
            "spot_checkpoint_freed_bytes_total",
            "Bytes of the checkpoints deleted.",
            registry=self.registry,
        )
        self.step = Gauge(
            "spot_trainer_step", "The trainer's last finished step.", registry=self.registry
        )

    def saw_commit(self, commit: CommitSeen) -> None:
        """Count a checkpoint."""
        self.committed.labels(commit.reason).inc()
        self.write_seconds.labels(commit.reason).observe(commit.write_seconds)
        self.stall_seconds.labels(commit.reason).observe(commit.stall_seconds)

    def saw_retention(self, pruned: Pruned) -> None:
        """Show what stays, count what goes."""
        kept = collections.Counter(pruned.kept.values())
        for reason in Reason:
            self.kept.labels(str(reason)).set(kept[reason])
        self.expiring.set(pruned.waiting)
        self.expired.inc(len(pruned.expired))
        self.deleted.inc(len(pruned.deleted))
        self.freed.inc(pruned.freed)

    def saw_interval(self, shown: Mapping[str, Any]) -> None:
        """Show the interval and its inputs."""
        self.interval.set(shown["seconds"])
        for name, value in shown["inputs"].items():
            self.interval_inputs.labels(name).set(value)

    def saw_notice(self, notice: Notice) -> None:
        """Count a change of the notice in force."""
        self.notices.labels(notice.source, notice.kind.name).inc()

    def saw_health(self, source: str, health: Health) -> None:
        """Show whether a source answers."""
        self.source_up.labels(source).set(1 if health.healthy else 0)

    def render(self) -> bytes:
        """The text a Prometheus server reads."""
        return generate_latest(self.registry)
