"""Reasons of Kubernetes Events, as `kubectl describe` shows them; changed here and nowhere else."""

from enum import StrEnum


class SidecarEvent(StrEnum):
    """Reasons of the Events that a sidecar may have written on its job; it repeats these names."""

    UNFINISHED_LINEAGE = "UnfinishedLineage"
    """A former job of this name left checkpoints, and this one begins from zero."""
    CHECKPOINT_CORRUPT = "CheckpointCorrupt"
    """A checkpoint that was just committed does not verify."""
    CHECKPOINT_QUARANTINED = "CheckpointQuarantined"
    """A checkpoint failed to verify and will not be used again."""
    SNAPSHOT_LOST = "SnapshotLost"
    """A snapshot could not be made a checkpoint; training goes on."""
    LAST_SAVE_SKIPPED = "LastSaveSkipped"
    """A notice left no time for a last save; the last checkpoint, or the upload, is kept."""
    RETENTION_REFUSED = "RetentionRefused"
    """The store denies deletes: old checkpoints stay."""
    DIRECTORY_UNREADABLE = "DirectoryUnreadable"
    """The folder in which a script writes its checkpoints cannot be read."""
    SET_UNREADABLE = "SetUnreadable"
    """A checkpoint that a script wrote cannot be read, and is not saved."""
    NOTE = "SidecarNote"
    """Anything else that a sidecar says: one of another version, or one that is not ours."""


def told(reason: str, message: str) -> tuple[str, str]:
    """Reason and text of the Event for what a sidecar reports.

    A reason that no sidecar of this version has could be taken for the operator's own word: it
    stands in the text, beside whose word it is.
    """
    known = reason in set(SidecarEvent)
    return (
        (reason, message) if known else (SidecarEvent.NOTE, f"the sidecar says {reason}: {message}")
    )


class Event(StrEnum):
    """Reasons of the Events the operator writes on a job."""

    ATTEMPT_CREATED = "AttemptCreated"
    """A new attempt was granted and its pods exist."""
    ATTEMPT_ENDED = "AttemptEnded"
    """An attempt ended; the message has the ending, its evidence and what it was charged as."""
    NOTICE = "NoticeObserved"
    """A warning with a deadline was seen for a pod of the job."""
    RESUMED = "Resumed"
    """The attempt resumed from a checkpoint, or started fresh."""
    FIRST_CHECKPOINT = "FirstCheckpoint"
    """The job's first checkpoint was committed: from here on a loss costs at most an interval."""
    CHECKPOINT_SUSPECT = "CheckpointSuspect"
    """Two failures followed from one checkpoint: the one before it is used next."""
    CHECKPOINTS_DELETED = "CheckpointsDeleted"
    """The job is being deleted, and its checkpoints are, as it asked for; but pinned ones."""
    CHECKPOINTS_LEFT = "CheckpointsLeft"
    """The job goes, and its checkpoints could not be deleted: the message says why and where."""
    RELEASED = "Released"
    """The operator is being uninstalled and holds the job no more: its checkpoints stay."""
    PURGE_FAILED = "PurgeFailed"
    """A try to delete the checkpoints of a deleted job failed; another follows."""
    LOSS_BOUND_EXCEEDED = "LossBoundExceeded"
    """`maxLostWork` cannot be kept; the message has the numbers and what to change."""
    LOSS_BOUND_KEPT = "LossBoundKept"
    """`maxLostWork` can be kept, by the saves as measured."""
    BACKING_OFF = "BackingOff"
    """The next attempt waits."""
    REPORTS_SILENT = "ReportsSilent"
    """The sidecar of a running attempt has reported nothing for long."""
    NOT_STEPPING = "NotStepping"
    """The trainer runs and has made no step for long."""
    NOT_REGISTERED = "NotRegistered"
    """The trainer runs and has never called the SDK."""
    CHECKPOINT_OVERDUE = "CheckpointOverdue"
    """The newest checkpoint is much older than the interval in force."""
    POD_NOT_ENDING = "PodNotEnding"
    """A pod outlives its grace period on a node that is alive; the message says what to do."""
    NODE_LOST = "NodeLost"
    """A node holding a pod of the job is taken for lost; the message has the evidence."""
    NODE_EXCLUDED = "NodeExcluded"
    """New pods of the job avoid a node for a while."""
    PLATFORM_TROUBLE = "PlatformTrouble"
    """A registry, volume, node or our own sidecar keeps an attempt from starting; uncharged."""
    PODS_REFUSED = "PodsRefused"
    """The API server refused to create a pod."""
    WRITES_REFUSED = "WritesRefused"
    """The API server refuses another write that the job needs; the message says which."""
    CRDS_OUTDATED = "CRDsOutdated"
    """The CRDs are older than the operator: the message says what is lost and how to upgrade."""
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    """The namespace of the job is being deleted, and no pod can be created in it."""
    POD_WARNING = "PodWarning"
    """The API server took a pod and warns of something in the template; the message quotes it."""
    SUSPENDED = "Suspended"
    """The job's pods are gone because the user suspended it."""
    POLICY_CHOSEN = "PolicyChosen"
    """The job now follows another policy."""
    INVALID_SPEC = "InvalidSpec"
    """The operator cannot run this spec."""
    UNREADABLE_STATUS = "UnreadableStatus"
    """The operator cannot read the job's status and does nothing for it; the message says why."""
    COMPLETED = "Completed"
    """The job completed."""
    FAILED = "Failed"
    """The job will not complete; the message says why and what to change."""
