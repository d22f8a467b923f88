"""Write scikit-learn's handwritten digits (1,797 images of 8 x 8) to one file, at image build.

The data set comes with scikit-learn (UCI, CC BY 4.0), so the image needs neither it nor a network.
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.datasets import load_digits


def main(path: str) -> None:
    """Write `images` (float32, 1797 x 64, 0..1) and `labels` (int64) to the .npz file at `path`."""
    digits = load_digits()
    np.savez(
        path,
        images=(digits.data / 16.0).astype(np.float32),
        labels=digits.target.astype(np.int64),
    )


if __name__ == "__main__":
    main(sys.argv[1])
