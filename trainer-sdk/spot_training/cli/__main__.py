"""`python -m spot_training.cli`."""

import sys

from spot_training.cli.app import main

sys.exit(main())
