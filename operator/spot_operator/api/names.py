"""Every name that a user, a pod or another program can see, with its meaning.

A name is changed here and nowhere else. The sidecar repeats the few it reads; a test compares.
"""

from enum import StrEnum
from typing import Final

GROUP: Final = "spottraining.dev"
"""The API group of every kind of ours, and the prefix of our labels and annotations."""
VERSION: Final = "v1alpha1"
"""The only version of the API group."""
API_VERSION: Final = f"{GROUP}/{VERSION}"
"""What stands in `apiVersion` of our objects."""
CATEGORY: Final = "spot-training"
"""`kubectl get spot-training` lists the objects of every kind of ours."""

JOB_KIND: Final = "SpotTrainingJob"
"""A training job on spot capacity; namespaced."""
JOB_PLURAL: Final = "spottrainingjobs"
"""The job kind in URLs, RBAC rules and kubectl."""
JOB_SINGULAR: Final = "spottrainingjob"
"""The job kind as kubectl also accepts it."""
JOB_SHORT: Final = "stj"
"""kubectl's short name of the job kind."""
POLICY_KIND: Final = "SpotPolicy"
"""Budgets and waits for a kind of work; cluster-scoped."""
POLICY_PLURAL: Final = "spotpolicies"
"""The policy kind in URLs, RBAC rules and kubectl."""
POLICY_SINGULAR: Final = "spotpolicy"
"""The policy kind as kubectl also accepts it."""
POLICY_SHORT: Final = "spol"
"""kubectl's short name of the policy kind."""

MAX_JOB_NAME: Final = 40
"""Characters of a job's name: pod names and host names add the attempt and the rank to it."""
ANY_NAMESPACE: Final = "*"
"""In `allowedNamespaces` of a policy: jobs of every namespace may name it."""

# Labels of our pods.
LABEL_JOB: Final = "spottraining.dev/job"
"""The job's name."""
LABEL_JOB_UID: Final = "spottraining.dev/job-uid"
"""The job's uid; the operator watches exactly the pods that carry it."""
LABEL_ATTEMPT: Final = "spottraining.dev/attempt"
"""The attempt the pod belongs to, decimal."""
LABEL_RANK: Final = "spottraining.dev/rank"
"""The pod's index in its gang, decimal."""

LABEL_PURGE: Final = "spottraining.dev/purge"
"""On the pod that deletes a deleted job's lineage: the number of the try, decimal."""
LABELS: Final = (LABEL_JOB, LABEL_JOB_UID, LABEL_ATTEMPT, LABEL_RANK, LABEL_PURGE)
"""All of them; a pod has the last or the two before it."""

# Annotations of our pods.
ANNOTATION_GRANT: Final = "spottraining.dev/grant"
"""The operator's word that the attempt may train, with the newest checkpoint it knows (JSON)."""
ANNOTATION_NOTICE: Final = "spottraining.dev/notice"
"""A warning with a deadline that the operator saw on the pod's node (JSON)."""
ANNOTATION_NODE: Final = "spottraining.dev/node"
"""Name, uid and boot id of the node when the pod was first seen bound: a change is a lost node."""
ANNOTATION_AVOIDS: Final = "spottraining.dev/avoids"
"""Names of the nodes that the pod must not be bound to, with commas: its affinity says the same,
and can never be changed; when one of them would take the pod again, the attempt is given up."""
ANNOTATION_TRAINER: Final = "spottraining.dev/trainer"
"""The name of the container that trains: a webhook may add others to the pod."""
ANNOTATION_ENDED: Final = "spottraining.dev/trainer-ended"
"""When the operator saw that the trainer has ended while others run on in its pod, by which the
kubelet does not tell the sidecar: it brings in what is left, and says so."""
ANNOTATION_CA: Final = "spottraining.dev/ca"
"""The certificate bundle (PEM) by which the sidecar knows the operator's reports server."""

FINALIZER: Final = "spottraining.dev/checkpoints"
"""Holds a job with `deletionPolicy: Delete` until its checkpoints are deleted."""

# The pod.
TRAINER_CONTAINER: Final = "trainer"
"""The container that trains, when the template has several."""
SIDECAR_CONTAINER: Final = "spot-sidecar"
"""The native sidecar, first of the init containers."""
PURGE_CONTAINER: Final = "spot-purge"
"""The only container of the pod that deletes a lineage."""
RESERVED_PREFIX: Final = "spot-"
"""Container and volume names that begin so are ours."""
RESERVED_ENV_PREFIX: Final = "SPOT_"
"""Environment names that begin so are ours."""
RESERVED_MOUNT: Final = "/spot"
"""This path and all below it are ours in every container of the pod."""

VOLUME_SHARED: Final = "spot-shared"
"""Memory that the trainer and the sidecar share: arenas, notice, socket, progress."""
VOLUME_PRIVATE: Final = "spot-private"
"""Memory of the sidecar alone: the nonce of its claim, the grants it has used."""
VOLUME_PODINFO: Final = "spot-podinfo"
"""The pod's annotations as a file: how notices and grants reach the sidecar."""
VOLUME_TOKEN: Final = "spot-token"  # noqa: S105 - a volume's name
"""The ServiceAccount token with which the sidecar reports."""
VOLUME_DIRECTORY: Final = "spot-directory"
"""Where a script without the SDK writes its checkpoints; shared with the sidecar."""
VOLUME_CREDENTIALS: Final = "spot-credentials"
"""The Secret with the store's keys, when the job names one."""
VOLUME_CA: Final = "spot-ca"
"""The certificate of the store's private authority, when the job names one."""
VOLUME_STORE: Final = "spot-store"
"""The claim that holds the checkpoints, when they live in a volume."""

PATH_SHARED: Final = "/spot/shared"
"""Where `spot-shared` is mounted, in the sidecar and in the trainer."""
PATH_PRIVATE: Final = "/spot/private"
"""Where `spot-private` is mounted, in the sidecar."""
PATH_PODINFO: Final = "/spot/podinfo"
"""Where `spot-podinfo` is mounted, in the sidecar."""
PATH_TOKEN: Final = "/spot/token"  # noqa: S105 - a path
"""Where `spot-token` is mounted, in the sidecar."""
PATH_DIRECTORY: Final = "/spot/directory"
"""Where `spot-directory` is mounted, in the sidecar."""
SCRIPT_FILES: Final = "data"
"""The folder of `spot-directory` that the trainer sees; the rest is the sidecar's."""
PATH_RESUME: Final = "/spot/shared/resume"
"""Leads a script to the folder that it resumes from."""
PATH_RESUME_FILE: Final = "/spot/shared/resume.ckpt"
"""The same for Lightning, which resumes from a file."""
PATH_CREDENTIALS: Final = "/spot/credentials"
"""Where `spot-credentials` is mounted, in the sidecar."""
PATH_CA: Final = "/spot/ca"
"""Where `spot-ca` is mounted, in the sidecar."""
CA_FILE: Final = "ca.crt"
"""The file of `spot-ca` that holds the certificates, whatever the key is called."""
PATH_STORE: Final = "/spot/store"
"""Where `spot-store` is mounted, in the sidecar."""
PATH_SOCKET: Final = "/spot/shared/sidecar.sock"
"""The Unix socket on which the sidecar serves the trainer."""
PODINFO_ANNOTATIONS: Final = "annotations"
"""The file of `spot-podinfo` that holds the annotations."""

SIDECAR_PORT: Final = 8390
"""The sidecar's TCP port: drain hook, health, metrics."""
SIDECAR_PORT_NAME: Final = "spot-sidecar"
"""The name of that container port."""
PATH_DRAIN: Final = "/v1/drain"
"""What the trainer's preStop hook calls; it returns when the last checkpoint is durable."""
HEADER_DRAIN: Final = "X-Spot-Drain"
"""Carries the pod's drain token: pod addresses are reachable by others."""
SIDECAR_UID: Final = 65532
"""User and group of the sidecar; the trainer joins the group."""
TOKEN_AUDIENCE: Final = "spottraining.dev/reports"  # noqa: S105 - an audience
"""The audience of the token with which the sidecar reports."""
TOKEN_SECONDS: Final = 3600
"""How long that token is valid; the kubelet renews it at 80 %."""

# Environment of the trainer.
ENV_SOCKET: Final = "SPOT_SOCKET"
"""Path of the sidecar's socket."""
ENV_ATTEMPT: Final = "SPOT_ATTEMPT"
"""The number of this attempt."""
ENV_RANK: Final = "SPOT_RANK"
"""This pod's index in its gang."""
ENV_JOB: Final = "SPOT_JOB"
"""The job's name."""
ENV_NAMESPACE: Final = "SPOT_NAMESPACE"
"""The job's namespace."""

# Environment of the sidecar.
ENV_CONFIG: Final = "SPOT_CONFIG"
"""All the operator tells the sidecar at creation (JSON, versioned)."""
ENV_POD_NAME: Final = "POD_NAME"
"""The pod's name, by the downward API."""
ENV_POD_UID: Final = "POD_UID"
"""The pod's uid, by the downward API."""
ENV_NODE_NAME: Final = "NODE_NAME"
"""The node's name, by the downward API."""

EXIT_REFUSED: Final = 93
"""The trainer's exit code for "this job can never succeed": no further attempt is made."""
EXIT_STOPPED: Final = 94
"""The exit code when the sidecar told the trainer to stop; the sidecar's word has the cause."""

FIELD_MANAGER: Final = "spot-training-operator"
"""Under this name the operator's writes stand in `managedFields`, its events and its Lease."""


class State(StrEnum):
    """Where the current attempt stands (`status.state`)."""

    WAITING = "Waiting"
    """No attempt runs; one is created when `notBefore` has passed and nothing else forbids it."""
    CREATING = "Creating"
    """The attempt's number is taken; its pods are being created."""
    CREATED = "Created"
    """Every pod of the attempt was created; none is ever created again for it."""
    STOPPING = "Stopping"
    """The attempt is ending: its pods are being deleted, or a rank of it was lost."""
    FINISHED = "Finished"
    """The job is over; condition Succeeded says how."""


class Ending(StrEnum):
    """Why an attempt stopped, in the order of evidence: the first match wins."""

    COMPLETED = "Completed"
    """The trainer's result and the completion marker are in the store."""
    PAUSED = "Paused"
    """The trainer said that it paused after a notice, its state being durable."""
    PREEMPTED = "Preempted"
    """The platform took the node or pod away: notice near its deadline, disruption, shutdown."""
    NODE_LOST = "NodeLost"
    """The node went silent, or came back as another machine."""
    DELETED = "Deleted"
    """Somebody deleted the pod; nothing says that the platform did."""
    EVICTED = "Evicted"
    """The pod was evicted: drain, or pressure on the node."""
    SCHEDULER_PREEMPTED = "SchedulerPreempted"
    """The scheduler gave the pod's place to one of higher priority."""
    SUSPENDED = "Suspended"
    """The user suspended the job."""
    NOT_PLACED = "NotPlaced"
    """The pod found no node and the attempt was given up."""
    ADMISSION_REJECTED = "AdmissionRejected"
    """The kubelet refused the pod; the next attempt avoids that node."""
    RESURRECTED = "Resurrected"
    """The kubelet ran the pod a second time; its claim's nonce was gone."""
    REGRANTED = "Regranted"
    """The script's arguments did not fit what the store holds; the next attempt gets others."""
    BAD_NODE = "BadNode"
    """Two checkpoints failed to verify on one node: the node is at fault, not the checkpoints."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The kernel killed the trainer for memory."""
    STALLED = "Stalled"
    """No step for longer than `stallTimeout`."""
    OUT_OF_STORAGE = "OutOfStorage"
    """The kubelet evicted the pod because it wrote more than its own limit of local storage."""
    PLATFORM_TROUBLE = "PlatformTrouble"
    """What is not the job's kept the pod from starting: registry, volume, node, or our sidecar."""
    START_FAILED = "StartFailed"
    """No attempt has ever started, and image, configuration or command keep this one from it."""
    NO_VALID_CHECKPOINT = "NoValidCheckpoint"
    """Checkpoints were committed and none verifies."""
    TRAINER_REFUSED = "TrainerRefused"
    """The trainer said that the job can never succeed."""
    TRAINER_FAILED = "TrainerFailed"
    """The trainer exited by its own fault; exit 0 without the completion marker included."""
    UNKNOWN = "Unknown"
    """The pod is over and nothing proves why: its state was lost, or something outside ended it."""


class Bucket(StrEnum):
    """What a second of wall time was used for (`status.time.buckets`): each in exactly one."""

    PRODUCTIVE = "productive"
    """Steps that were new."""
    REPLAYED = "replayed"
    """Steps done again after an interruption."""
    CHECKPOINT_STALL = "checkpointStall"
    """The trainer waited for a snapshot to be copied."""
    RESTORE = "restore"
    """Choosing, downloading, verifying and loading a checkpoint."""
    START_UP = "startUp"
    """From the pod being bound until the trainer asked for its state."""
    WAITING_FOR_CAPACITY = "waitingForCapacity"
    """Pods exist and no node takes them."""
    BACKOFF = "backoff"
    """Waiting before the next attempt."""
    SUSPENDED = "suspended"
    """The user suspended the job."""
    DRAIN = "drain"
    """From a notice, a stop or a node's last sign until every pod had ended or was fenced."""
    OTHER = "other"
    """Everything else, chiefly before the first attempt and while the operator was away."""


class Condition(StrEnum):
    """Condition types of a job."""

    SUCCEEDED = "Succeeded"
    """The summary: True it completed, False it will not, Unknown it is not over."""
    RUNNING = "Running"
    """True while the trainer of the current attempt makes steps."""
    SUSPENDED = "Suspended"
    """True while the user wants no pods and none is left."""
    CAPACITY_AVAILABLE = "CapacityAvailable"
    """False while pods of the current attempt find no node."""
    CHECKPOINTS_HEALTHY = "CheckpointsHealthy"
    """False while checkpoints cannot be written, read or trusted."""
    LOSS_BOUND_FEASIBLE = "LossBoundFeasible"
    """False while `maxLostWork` cannot be kept; the message has the numbers."""


class Reason(StrEnum):
    """Reasons of conditions. Condition Succeeded also takes every `Ending` as its reason."""

    # Succeeded
    IN_PROGRESS = "InProgress"
    """Unknown: an attempt runs or is about to."""
    BACKING_OFF = "BackingOff"
    """Unknown: the next attempt waits for `notBefore`."""
    INVALID_SPEC = "InvalidSpec"
    """Unknown: the operator cannot run or read this spec; the message says what to do. No pods."""
    POLICY_NOT_FOUND = "PolicyNotFound"
    """Unknown: no SpotPolicy of the name `policyName` exists. No pods."""
    POLICY_NOT_ALLOWED = "PolicyNotAllowed"
    """Unknown: the named policy admits neither the priority class nor the namespace. No pods."""
    POLICY_AMBIGUOUS = "PolicyAmbiguous"
    """Unknown: several policies claim the same priority class, or to be the default. No pods."""
    REGISTRY_TROUBLE = "RegistryTrouble"
    """Unknown: a registry does not give the image; the operator waits and charges nothing."""
    VOLUME_TROUBLE = "VolumeTrouble"
    """Unknown: a volume, Secret or ConfigMap is not there; the operator waits, charging nothing."""
    NODE_TROUBLE = "NodeTrouble"
    """Unknown: the node does not start the containers; the operator waits and charges nothing."""
    SIDECAR_TROUBLE = "SidecarTrouble"
    """Unknown: our sidecar does not start; the operator's own release is to be corrected."""
    POLICY_UNREADABLE = "PolicyUnreadable"
    """Unknown: the SpotPolicy that rules the job was stored under other rules. No pods."""
    POLICY_GONE = "PolicyGone"
    """Unknown: the policy that ruled the job claims it no more; it is waited for. No pods."""
    PODS_REFUSED = "PodsRefused"
    """Unknown: the API server refuses the pod (quota, admission); the message quotes it."""
    WRITES_REFUSED = "WritesRefused"
    """Unknown: the API server refuses another write that the job needs (the deletion of a pod, an
    annotation, the finalizer, its status); the message says which and quotes it."""
    CRDS_OUTDATED = "CRDsOutdated"
    """Unknown: the API server does not keep what the operator must remember of the job, for its
    CRDs are older than the operator. What runs goes on, no attempt starts."""
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    """Unknown: the namespace is being deleted, and no pod can be created in it."""
    INTERRUPTIONS_EXHAUSTED = "InterruptionsExhausted"
    """False: more interruptions than the policy allows."""
    FAILURES_EXHAUSTED = "FailuresExhausted"
    """False: more failures than the policy allows."""
    NO_PROGRESS = "NoProgress"
    """False: too many attempts in a row made no durable progress."""
    CHECKPOINTS_SUSPECT = "CheckpointsSuspect"
    """False: training failed from two checkpoints in turn."""

    # Running
    TRAINING = "Training"
    """True: the attempt makes steps of its own."""
    STARTING = "Starting"
    """False: the pods are created or run; the trainer has made no step of this attempt yet."""
    RESTORING = "Restoring"
    """False: a checkpoint is being chosen, verified and loaded."""
    DRAINING = "Draining"
    """False: the attempt is ending."""
    NO_ATTEMPT = "NoAttempt"
    """False: there is no attempt at the moment."""
    NOT_STEPPING = "NotStepping"
    """False: the trainer runs and has made no step for long; the message says since when."""
    NOT_REGISTERED = "NotRegistered"
    """Unknown: the trainer runs and has never called the SDK; nothing can be saved."""
    REPORTS_SILENT = "ReportsSilent"
    """Unknown: the sidecar has reported nothing for long; the message says why, if it is known."""
    POD_NOT_ENDING = "PodNotEnding"
    """False: a pod outlives its grace period on a node that is alive; nothing starts beside it."""

    # Suspended
    SUSPENDED = "Suspended"
    """True: `suspend` is set and no pod is left."""
    SUSPENDING = "Suspending"
    """False: `suspend` is set; pods are still draining."""
    NOT_SUSPENDED = "NotSuspended"
    """False: `suspend` is not set."""

    # CapacityAvailable
    PLACED = "Placed"
    """True: every pod of the current attempt has its node."""
    UNSCHEDULABLE = "Unschedulable"
    """False: the scheduler finds no node; the message quotes it."""
    NOT_SCHEDULED = "NotScheduled"
    """False: no scheduler has placed the pod or said why not, for minutes."""
    PLACING = "Placing"
    """Unknown: pods were just created."""
    NOT_NEEDED = "NotNeeded"
    """Unknown: there is no attempt that needs capacity."""

    # CheckpointsHealthy
    COMMITTED = "Committed"
    """True: the newest checkpoint is committed and nothing is wrong."""
    NONE_YET = "NoneYet"
    """Unknown: no checkpoint has been committed."""
    NO_REPORT = "NoReport"
    """Unknown: no trainer reports now; the message has the newest checkpoint that is known."""
    UNFINISHED_LINEAGE = "UnfinishedLineage"
    """Unknown: the same, and a former job of this name left checkpoints; the message has more."""
    STORE_UNREACHABLE = "StoreUnreachable"
    """False: the sidecar cannot reach the store; training goes on, nothing starts from zero."""
    STORE_DENIED = "StoreDenied"
    """False: the store refuses the credentials or the rights."""
    NO_VALID_CHECKPOINT = "NoValidCheckpoint"
    """False: checkpoints were committed and none verifies."""
    STAGING_TOO_SMALL = "StagingTooSmall"
    """False: the state does not fit `staging.sizeLimit`; the message says how much it needs."""
    CHECKPOINT_CORRUPT = "CheckpointCorrupt"
    """False: a checkpoint was quarantined; the one before it was used."""
    CHECKPOINT_OVERDUE = "CheckpointOverdue"
    """False: steps are made and the newest checkpoint is much older than the interval."""

    # LossBoundFeasible
    WITHIN_BOUND = "WithinBound"
    """True: no more than `maxLostWork` can be lost."""
    BOUND_EXCEEDED = "BoundExceeded"
    """False: more can be lost; the message says why and what to change."""
    NO_BOUND_ASKED = "NoBoundAsked"
    """Unknown: `maxLostWork` is not set."""
    NOT_MEASURED = "NotMeasured"
    """Unknown: no save was measured yet."""


def pod_name(job: str, attempt: int, rank: int) -> str:
    """What the pod of a job's rank is called."""
    return f"{job}-{attempt}-{rank}"


def purge_pod_name(job: str, number: int) -> str:
    """What the pod of a job's try to delete its lineage is called."""
    return f"{job}-purge-{number}"


def pod_labels(job: str, uid: str, attempt: int, rank: int) -> dict[str, str]:
    """The labels by which that pod is found."""
    return {
        LABEL_JOB: job,
        LABEL_JOB_UID: uid,
        LABEL_ATTEMPT: str(attempt),
        LABEL_RANK: str(rank),
    }
