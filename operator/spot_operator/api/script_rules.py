"""The rules of a job whose script writes its own checkpoints."""

from typing import Final

from spot_operator.api import job, names
from spot_operator.api.rules import REQUIRED, Rule, duration

_DIRECTORY: Final = "spec.checkpoint.source.directory"
_ASKED: Final = "has(self.checkpoint.source.directory)"
_DIR: Final = "self.checkpoint.source.directory"
_TRAINS: Final = (
    f"(size(self.template.spec.containers) == 1 || c.name == '{names.TRAINER_CONTAINER}')"
)

SCRIPT: Final[tuple[Rule, ...]] = (
    duration(f"{_DIRECTORY}.settle", job.MIN_SETTLE, job.MAX_SETTLE),
    Rule(
        name="a script's success is its exit code",
        at="spec",
        cel=f"!{_ASKED} || self.completion == 'ExitCode'",
        message="write ExitCode: a script without the SDK leaves no completion marker",
        field=".completion",
    ),
    Rule(
        name="arguments to append to",
        at="spec",
        cel=f"!{_ASKED} || size({_DIR}.resumeArgs) == 0 || self.template.spec.containers.all(c,"
        f" !{_TRAINS} || has(c.command) || has(c.args))",
        message="write the trainer's command or args: resumeArgs are appended to them, and would "
        "replace what the image runs by itself",
        field=".template.spec.containers",
        reason=REQUIRED,
    ),
    Rule(
        name="a directory of its own",
        at="spec",
        cel=f"!{_ASKED} || self.template.spec.containers.all(c, !{_TRAINS} || !has(c.volumeMounts)"
        f" || c.volumeMounts.all(m, m.mountPath != {_DIR}.path))",
        message="choose a path where the trainer mounts nothing: a volume is mounted there",
        field=".checkpoint.source.directory.path",
    ),
    Rule(
        name="path of a directory",
        at=f"{_DIRECTORY}.path",
        cel="self.matches('^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$')"
        " && !self.matches('^/(spot|dev|proc|sys|etc)(/|$)')",
        message='write an absolute path such as "/out", without a final slash; not one of the '
        "system's, nor below /spot",
    ),
    Rule(
        name="marker of Plain",
        at=_DIRECTORY,
        cel="self.marker == '' || self.format == 'Plain'",
        message="leave marker out: only format Plain needs one, the others show by themselves "
        "that they are complete",
        field=".marker",
    ),
    Rule(
        name="marker is a file's name",
        at=f"{_DIRECTORY}.marker",
        cel="self == '' || self.matches('^[A-Za-z0-9_.-]*[A-Za-z0-9_-]$')",
        message='write the name of a file alone, as "DONE"',
    ),
    Rule(
        name="processes of HuggingFace",
        at=_DIRECTORY,
        cel="self.processes == 1 || self.format == 'HuggingFace'",
        message="leave processes out: only format HuggingFace counts them",
        field=".processes",
    ),
)
"""Rules on `spec.checkpoint.source.directory` and what it asks of the rest."""
