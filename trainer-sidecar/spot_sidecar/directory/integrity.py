"""Whether a single file is whole, by its own structure. Pure but for the reading.

safetensors: the header names the last byte (https://huggingface.co/docs/safetensors). torch.save:
a zip, whose directory stands at the end and is written last; older torch files tell nothing.
"""

import json
import zipfile
from pathlib import PurePosixPath
from typing import BinaryIO

from spot_sidecar.directory.sets import FileSeen, Opener

__all__ = ["integrity_fault"]

TORCH = frozenset({".pt", ".pth", ".bin", ".ckpt"})
MAX_HEADER = 100 * 2**20


def integrity_fault(file: FileSeen, opened: Opener) -> str:
    """Why the file is not whole; empty: it is, or its kind does not tell."""
    suffix = PurePosixPath(file.path).suffix
    if suffix != ".safetensors" and suffix not in TORCH:
        return ""
    try:
        with opened(file.path) as stream:
            why = _safetensors(stream, file) if suffix == ".safetensors" else _torch(stream, file)
    except OSError as error:
        return f"{file.path} cannot be read: {error.strerror}"
    return f"{file.path} {why}" if why else ""


def _safetensors(stream: BinaryIO, file: FileSeen) -> str:
    length = int.from_bytes(stream.read(8), "little")
    if file.size < 8 or length > min(MAX_HEADER, file.size - 8):
        return "ends within its header"
    try:
        header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name[:2] != "__"]
        end = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return "has no readable header"
    return "" if file.size == end else f"has {file.size} bytes, its header says {end}"


def _torch(stream: BinaryIO, file: FileSeen) -> str:
    if file.size == 0:
        return "is empty"
    if stream.read(2) != b"PK":
        return ""
    try:
        with zipfile.ZipFile(stream) as archive:
            return "" if archive.namelist() else "is an empty archive"
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "is not written to its end"
