"""Names inside a lineage: the only place that knows how keys are spelled.

Keys of commits carry the attempt and the step inverted (10^width - 1 - x), so that one ascending
LIST gives the newest first. The order of checkpoints is (attempt, step), never the step alone:
after a rollback the new lineage wins even with a smaller step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ATTEMPT_DIGITS = 8
STEP_DIGITS = 12
RANK_DIGITS = 5
CHOICE_DIGITS = 3

FORMAT = "format.json"
CLAIMS = "claim/"
DATA = "data/"
RECEIPTS = "ready/"
COMMITS = "commits/"
VERIFIED = "verified/"
TOMBSTONES = "quarantine/"
PINS = "pins/"
EXPIRED = "expired/"
CHOICES = "choice/"
POSTS = "post/"
EVIDENCE = "evidence/"
MARKERS = "complete/"
INHERITED = "inherited/"
"""Below it: what this job found bad in the lineage that it resumes from (see `inherited`)."""

_ID = re.compile(r"a(\d{8})-s(\d{12})-([0-9a-f]{8})")
_COMMIT = re.compile(r"commits/(\d{8})-(\d{12})-(a\d{8}-s\d{12}-[0-9a-f]{8})\.json")
_DATA = re.compile(r"data/(a\d{8}-s\d{12}-[0-9a-f]{8})/r(\d{5})-(?:p(\d{5})\.safetensors|f(\d{5}))")
_CLAIM = re.compile(r"claim/(\d{8})/(\d{5})\.json")
_RECEIPT = re.compile(r"ready/(a\d{8}-s\d{12}-[0-9a-f]{8})/r(\d{5})\.json")
_TOMBSTONE = re.compile(r"quarantine/(a\d{8}-s\d{12}-[0-9a-f]{8})\.json")
_PIN = re.compile(r"pins/(a\d{8}-s\d{12}-[0-9a-f]{8})\.json")
_EXPIRED = re.compile(r"expired/(a\d{8}-s\d{12}-[0-9a-f]{8})\.json")
_VERIFIED = re.compile(r"verified/(a\d{8}-s\d{12}-[0-9a-f]{8})\.json")
_CHOICE = re.compile(r"choice/(\d{8})/(\d{3})\.json")
_POST = re.compile(r"post/(\d{8})/(\d{3})/(\d{5})\.json")
_EVIDENCE = re.compile(r"evidence/(a\d{8}-s\d{12}-[0-9a-f]{8})/(\d{8})-(\d{3})-(\d{5})\.json")
_MARKER = re.compile(r"complete/(\d{8})\.json")


@dataclass(frozen=True, slots=True, order=True)
class CheckpointId:
    """Which checkpoint; sorts by (attempt, step), the order in which checkpoints supersede."""

    attempt: int
    step: int
    nonce: str

    def __str__(self) -> str:
        return (
            f"a{_digits(self.attempt, ATTEMPT_DIGITS)}-s{_digits(self.step, STEP_DIGITS)}"
            f"-{self.nonce}"
        )

    @classmethod
    def parse(cls, text: str) -> CheckpointId:
        """Reads an id; raises ValueError for anything that `str()` would not have written."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a checkpoint id; expected a<8>-s<12>-<8 hex digits>")
        return cls(int(match[1]), int(match[2]), match[3])


def checkpoint_id(attempt: int, step: int, nonce: str) -> str:
    """The id every rank derives for itself; `nonce` is that of rank 0's claim (8 hex digits)."""
    return str(CheckpointId.parse(str(CheckpointId(attempt, step, nonce))))


def invert(value: int, digits: int) -> str:
    """10^digits - 1 - value, zero padded: ascending names for descending values."""
    return _digits(10**digits - 1 - value, digits)


def lineage_prefix(prefix: str, namespace: str, name: str, uid: str) -> str:
    """`<prefix>/<namespace>/<name>/<uid>/`, without a leading slash."""
    return "/".join(part for part in (prefix.strip("/"), namespace, name, uid) if part) + "/"


def lineage_name(namespace: str, name: str, uid: str) -> str:
    """How documents name another job's lineage in the same store."""
    return f"{namespace}/{name}/{uid}"


def claim(attempt: int, rank: int) -> str:
    return f"{claims(attempt)}{_digits(rank, RANK_DIGITS)}.json"


def claims_until(attempt: int) -> str:
    """No claim of this attempt or an earlier one is greater, every later one is."""
    return claim(attempt, 10**RANK_DIGITS - 1)


def claims(attempt: int) -> str:
    return f"{CLAIMS}{_digits(attempt, ATTEMPT_DIGITS)}/"


def data(checkpoint: str, rank: int, process: int) -> str:
    return (
        f"{data_of(checkpoint)}r{_digits(rank, RANK_DIGITS)}-p{_digits(process, RANK_DIGITS)}"
        ".safetensors"
    )


def data_file(checkpoint: str, rank: int, index: int) -> str:
    """Key of the rank's file `index` of a checkpoint that a script wrote itself; the manifest has
    its path: a key need not carry whatever name a script chooses."""
    return f"{data_of(checkpoint)}r{_digits(rank, RANK_DIGITS)}-f{_digits(index, RANK_DIGITS)}"


def data_of(checkpoint: str) -> str:
    return f"{DATA}{checkpoint}/"


def receipt(checkpoint: str, rank: int) -> str:
    return f"{receipts(checkpoint)}r{_digits(rank, RANK_DIGITS)}.json"


def receipts(checkpoint: str) -> str:
    return f"{RECEIPTS}{checkpoint}/"


def commit(checkpoint: str) -> str:
    """Key of the manifest; LIST of `COMMITS` ascending is newest first."""
    parsed = CheckpointId.parse(checkpoint)
    attempt = invert(parsed.attempt, ATTEMPT_DIGITS)
    return f"{COMMITS}{attempt}-{invert(parsed.step, STEP_DIGITS)}-{checkpoint}.json"


def verified(checkpoint: str) -> str:
    return f"{VERIFIED}{checkpoint}.json"


def tombstone(checkpoint: str) -> str:
    return f"{TOMBSTONES}{checkpoint}.json"


def pin(checkpoint: str) -> str:
    """Key of a person's word that the checkpoint must stay."""
    return f"{PINS}{checkpoint}.json"


def expired(checkpoint: str) -> str:
    """Key of the word that the checkpoint is given up; its deletion follows an hour later."""
    return f"{EXPIRED}{checkpoint}.json"


def choice(attempt: int, k: int) -> str:
    return f"{choices(attempt)}{_digits(k, CHOICE_DIGITS)}.json"


def choices(attempt: int) -> str:
    return f"{CHOICES}{_digits(attempt, ATTEMPT_DIGITS)}/"


def post(attempt: int, k: int, rank: int) -> str:
    return f"{posts(attempt, k)}{_digits(rank, RANK_DIGITS)}.json"


def posts(attempt: int, k: int) -> str:
    return f"{POSTS}{_digits(attempt, ATTEMPT_DIGITS)}/{_digits(k, CHOICE_DIGITS)}/"


def evidence(checkpoint: str, attempt: int, k: int, rank: int) -> str:
    """Key of a post that found the checkpoint bad, once more where the next attempts look."""
    return (
        f"{evidence_of(checkpoint)}{_digits(attempt, ATTEMPT_DIGITS)}-{_digits(k, CHOICE_DIGITS)}"
        f"-{_digits(rank, RANK_DIGITS)}.json"
    )


def evidence_of(checkpoint: str) -> str:
    return f"{EVIDENCE}{checkpoint}/"


def marker(attempt: int) -> str:
    return f"{MARKERS}{_digits(attempt, ATTEMPT_DIGITS)}.json"


def parse_commit(key: str) -> CheckpointId | None:
    """The id of a manifest's key; None for a foreign key or one whose halves disagree."""
    match = _COMMIT.fullmatch(key)
    return CheckpointId.parse(match[3]) if match and commit(match[3]) == key else None


def parse_data(key: str) -> tuple[str, int, int] | None:
    """(checkpoint id, rank, process or index of the file) of a data key."""
    match = _DATA.fullmatch(key)
    return (match[1], int(match[2]), int(match[3] or match[4])) if match else None


def parse_claim(key: str) -> tuple[int, int] | None:
    """(attempt, rank) of a claim's key."""
    match = _CLAIM.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None


def parse_receipt(key: str) -> tuple[str, int] | None:
    """(checkpoint id, rank) of a receipt's key."""
    match = _RECEIPT.fullmatch(key)
    return (match[1], int(match[2])) if match else None


def parse_tombstone(key: str) -> str | None:
    """The checkpoint id of a tombstone's key."""
    match = _TOMBSTONE.fullmatch(key)
    return match[1] if match else None


def parse_pin(key: str) -> str | None:
    """The checkpoint id of a pin's key."""
    match = _PIN.fullmatch(key)
    return match[1] if match else None


def parse_expired(key: str) -> str | None:
    """The checkpoint id of an expiry's key."""
    match = _EXPIRED.fullmatch(key)
    return match[1] if match else None


def parse_verified(key: str) -> str | None:
    """The checkpoint id of a verification's key."""
    match = _VERIFIED.fullmatch(key)
    return match[1] if match else None


def parse_choice(key: str) -> tuple[int, int] | None:
    """(attempt, k) of a choice's key."""
    match = _CHOICE.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None


def parse_post(key: str) -> tuple[int, int, int] | None:
    """(attempt, k, rank) of a post's key."""
    match = _POST.fullmatch(key)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def parse_evidence(key: str) -> str | None:
    """The checkpoint id that a key of evidence is about."""
    match = _EVIDENCE.fullmatch(key)
    return match[1] if match else None


def parse_marker(key: str) -> int | None:
    """The attempt of a completion marker's key."""
    match = _MARKER.fullmatch(key)
    return int(match[1]) if match else None


def _digits(value: int, width: int) -> str:
    if not 0 <= value < 10**width:
        raise ValueError(f"{value} does not fit the {width} digits a key has for it")
    return f"{value:0{width}d}"
