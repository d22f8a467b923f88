"""The example of torch does what its README says."""

from pathlib import Path

from kit.examples import expect_the_same_end


def test_killed_or_not_it_ends_with_the_same_averages(tmp_path: Path) -> None:
    """Its loader's workers persist, and outlive it for seconds when it is killed."""
    expect_the_same_end(tmp_path, "torch_local", killed_at="epoch 3", end="averages ")
