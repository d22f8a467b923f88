"""Importing the SDK must not cost what it does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPTIONAL = ("torch", "boto3", "awscrt", "safetensors", "transformers", "lightning")


@pytest.mark.parametrize("module", ["spot_training", "spot_training.backends.local"])
def test_importing_the_sdk_imports_numpy_alone(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    imported = set(ran.stdout.split())
    assert "numpy" in imported
    assert not imported & set(OPTIONAL)
