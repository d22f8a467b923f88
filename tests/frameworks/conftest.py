"""The tier of real training frameworks: torch on the CPU, in this process and in killed ones.

The folder is not named `torch`: on Python's path, `import torch` would find it where torch is not
installed.
"""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("torch") is None:
    raise pytest.UsageError("tests/frameworks needs torch: make env-torch")
