"""The same damage to checkpoints of frameworks that go by what exists, each with its own loader.

The same state, of the same steps; damaged are the files of the newest checkpoint that hold what is
compared: weights, optimizer, step. What is loaded is compared byte by byte.
"""

from __future__ import annotations

import collections
import json
import random
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from campaigns.corruption.cases import BYTES
from campaigns.corruption.damage import DELETE, SWAP, spoiled
from campaigns.pods import WrongError, tail
from kit.zygote import Zygote

Json = dict[str, Any]
NEWEST, BEFORE = 5, 3
"""The step whose checkpoint is damaged; the step whose files take its files' place in a swap."""
HALF = "half-written"
KINDS = (*BYTES, HALF)
WAIT_SECONDS = 60.0
RIGHT, WRONG, OLDER, CRASHED, ZERO = "newest", "wrong state", "an older one", "crashed", "from zero"
OUTCOMES = (RIGHT, OLDER, ZERO, WRONG, CRASHED)


@dataclass(frozen=True, slots=True)
class Framework:
    """How one keeps its checkpoints: folders or files named by step, the newest one taken."""

    module: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    """In the order in which they are written; `{step}` is the checkpoint's."""
    newest: Mapping[str, str]
    """What is replaced in these names for the newest one."""

    def path(self, folder: Path, name: str, step: int) -> Path:
        """The file of the step's checkpoint."""
        filled = name.format(step=step)
        return folder / (self.newest.get(filled, filled) if step == NEWEST else filled)


FRAMEWORKS: dict[str, Framework] = {
    "DCP": Framework(
        "dcp", ("torch",), ("step-{step}/__0_0.distcp", "step-{step}/.metadata"), {}
    ),
    "Hugging Face": Framework(
        "hugging_face", ("transformers", "torch", "safetensors"),
        ("checkpoint-{step}/model.safetensors", "checkpoint-{step}/optimizer.pt",
         "checkpoint-{step}/trainer_state.json"), {},
    ),
    "Lightning": Framework(
        "lightning_trainer", ("lightning", "torch"), ("step={step}.ckpt",),
        {f"step={NEWEST}.ckpt": "last.ckpt"},
    ),
}  # fmt: skip


def preloaded(*names: str) -> tuple[str, ...]:
    """What a zygote has to import for these frameworks; torch imports a part at its first use."""
    modules = (f"campaigns.corruption.frameworks.{FRAMEWORKS[name].module}" for name in names)
    return ("torch._dynamo", "campaigns.corruption.frameworks.states", *modules)


def compare(
    zygote: Zygote, folder: Path, name: str, *, seeds: int, kinds: Collection[str] = KINDS
) -> Json:
    """Save with the framework, damage, load, and count what came of it."""
    framework, saved = FRAMEWORKS[name], folder / "saved"
    saved.mkdir(parents=True)
    _run(zygote, framework, "save", saved, folder / "save.log")
    right = _expected(zygote, folder)
    outcomes: dict[str, collections.Counter[str]] = {}
    errors: collections.Counter[str] = collections.Counter()
    for kind, file, seed in (case for case in _cases(framework, seeds) if case[0] in kinds):
        copy = folder / "copy"
        shutil.copytree(saved, copy)
        _damage(framework, copy, kind, file, random.Random(f"{name}/{kind}/{file}/{seed}"))
        log = folder / "load.log"
        log.unlink(missing_ok=True)
        code = _run(zygote, framework, "load", copy, log)
        outcome = _outcome(code, log, right)
        outcomes.setdefault(kind, collections.Counter())[outcome] += 1
        if outcome == CRASHED:
            errors[_error(log)] += 1
        shutil.rmtree(copy)
    return {
        "versions": {package: version(package) for package in framework.packages},
        "outcomes": {kind: dict(counts) for kind, counts in outcomes.items()},
        "errors": dict(errors.most_common(5)),
    }


def _cases(framework: Framework, seeds: int) -> Iterator[tuple[str, str, int]]:
    for seed in range(seeds):
        for kind in BYTES:
            for file in framework.files:
                if kind != DELETE or seed == 0:
                    yield kind, file, seed
        yield HALF, framework.files[seed % len(framework.files)], seed


def _damage(
    framework: Framework, folder: Path, kind: str, file: str, chance: random.Random
) -> None:
    path = framework.path(folder, file, NEWEST)
    if kind == HALF:
        body = path.read_bytes()
        path.write_bytes(body[: chance.randrange(1, len(body))])
        for later in framework.files[framework.files.index(file) + 1 :]:
            framework.path(folder, later, NEWEST).unlink()
    elif kind == DELETE:
        path.unlink()
    elif kind == SWAP:
        path.write_bytes(framework.path(folder, file, BEFORE).read_bytes())
    else:
        path.write_bytes(spoiled(kind, path.read_bytes(), chance))


def _expected(zygote: Zygote, folder: Path) -> dict[int, str]:
    """The digest that belongs to each step."""
    log = folder / "expected.log"
    program = "campaigns.corruption.frameworks.states:main"
    child = zygote.start(program, (), env=_environment(folder), log=log)
    child.wait(WAIT_SECONDS)
    return {int(step): digest for step, digest in json.loads(tail(log).splitlines()[-1]).items()}


def _run(zygote: Zygote, framework: Framework, what: str, folder: Path, log: Path) -> int:
    program = f"campaigns.corruption.frameworks.{framework.module}:{what}"
    child = zygote.start(program, [str(folder)], env=_environment(folder), log=log)
    code = child.wait(WAIT_SECONDS)
    if what == "save" and code:
        raise WrongError(f"{framework.module} did not save: {tail(log)}")
    return code


def _environment(folder: Path) -> dict[str, str]:
    return {"HF_HUB_OFFLINE": "1", "HOME": str(folder), "PATH": "/usr/bin:/bin"}


def _outcome(code: int, log: Path, right: Mapping[int, str]) -> str:
    lines = [line for line in tail(log).splitlines() if line.startswith('{"step"')]
    if code or not lines:
        return CRASHED
    told = json.loads(lines[-1])
    if told["digest"] != right.get(told["step"]):
        return WRONG
    return {NEWEST: RIGHT, 0: ZERO}.get(told["step"], OLDER)


def _error(log: Path) -> str:
    """The last exception's name."""
    words = [line.partition(":")[0] for line in tail(log).splitlines() if line[:1].strip()]
    return next((one for one in reversed(words) if one.endswith(("Error", "Exception"))), "another")
