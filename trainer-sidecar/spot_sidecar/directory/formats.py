"""The format that a job's settings name. Pure."""

from spot_sidecar.config.spot_config import Directory
from spot_sidecar.directory.dcp import DistributedCheckpoint
from spot_sidecar.directory.huggingface import HuggingFace
from spot_sidecar.directory.lightning import Lightning
from spot_sidecar.directory.plain import Plain
from spot_sidecar.directory.sets import Format

__all__ = ["format_of"]


def format_of(settings: Directory) -> Format:
    """How this job's script lays its checkpoints out."""
    if settings.format == "HuggingFace":
        return HuggingFace(settings.processes)
    if settings.format == "Lightning":
        return Lightning()
    if settings.format == "DCP":
        return DistributedCheckpoint()
    return Plain(settings.marker)
