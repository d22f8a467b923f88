"""Checkpoints as scripts lay them out, in memory (name -> bytes) and on disk."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from spot_sidecar.directory.sets import FileSeen, FileSet, Format

Files = dict[str, bytes]


def safetensors(size: int = 8) -> bytes:
    """A file with one tensor of `size` bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return (
        len(header).to_bytes(8, "little")
        + header
        + bytes(range(size % 256)) * 1
        + bytes(size - size % 256)
    )


def torch_file(value: object = None) -> bytes:
    """What torch.save makes: a zip with a pickle in it."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))
        archive.writestr("archive/data/0", bytes(64))
    return body.getvalue()


def lightning_file(step: int) -> bytes:
    """What Lightning's trainer saves, as far as anybody looks."""
    return torch_file({"epoch": 1, "global_step": step, "state_dict": {"w": [1.0]}})


def hugging_face(step: int = 20, processes: int = 1) -> Files:
    """A whole folder of the Trainer, by name within the folder."""
    rng = (
        {"rng_state.pth": torch_file()}
        if processes == 1
        else {f"rng_state_{rank}.pth": torch_file() for rank in range(processes)}
    )
    return {
        "config.json": b"{}",
        "model.safetensors": safetensors(),
        "optimizer.pt": torch_file(),
        "scheduler.pt": torch_file(),
        "training_args.bin": torch_file(),
        "trainer_state.json": json.dumps({"global_step": step, "epoch": 0.5}).encode(),
        **rng,
    }


def distributed(files: int = 2) -> Files:
    """A DCP folder: a pickle that names the data files."""
    names = [f"__{rank}_0.distcp" for rank in range(files)]
    metadata = {"storage_data": [{"relative_path": name} for name in names]}
    return {".metadata": pickle.dumps(metadata), **dict.fromkeys(names, b"\x01" * 16)}


def within(folder: str, files: Mapping[str, bytes]) -> Files:
    """The files, inside a folder."""
    return {f"{folder}/{name}": body for name, body in files.items()}


def as_seen(files: Mapping[str, bytes]) -> tuple[FileSeen, ...]:
    """What a look at a directory with these files tells."""
    return tuple(
        FileSeen(path, inode=index + 1, size=len(body), mtime=1, ctime=1)
        for index, (path, body) in enumerate(sorted(files.items()))
    )


def found_in(layout: Format, files: Mapping[str, bytes]) -> list[tuple[FileSet, str]]:
    """Every set among the files, with what it lacks."""

    def opened(path: str) -> BinaryIO:
        return io.BytesIO(files[path])

    return [(one, layout.lacks(one, opened)) for one in layout.sets(as_seen(files), opened)]


def write(root: Path, files: Mapping[str, bytes], mode: int = 0o644) -> None:
    """Put the files below `root`."""
    for path, body in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(body)
        (root / path).chmod(mode)
