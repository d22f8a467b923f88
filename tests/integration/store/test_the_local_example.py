"""The example that needs no Kubernetes does what its README says."""

from pathlib import Path

from kit.examples import expect_the_same_end


def test_killed_or_not_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    expect_the_same_end(tmp_path, "numpy_local", killed_at="epoch 8", end="weights ")
