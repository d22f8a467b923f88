"""All that we know kubelets, runtimes, the scheduler and controllers write into a pod's status.

Read in the sources of Kubernetes 1.37.1, containerd 2.2 and CRI-O's main branch; the feature gates
of 1.37.1 say since when. docs/endings.md is generated from this, and a test puts every row through
the operator's plan.
"""

from typing import Final

from endings.admission import ADMITTED
from endings.by_kubelet import ENDED_BY_KUBELET
from endings.disruptions import DISRUPTIONS
from endings.exits import EXITS
from endings.lost import LOST
from endings.placing import PLACING
from endings.starts import STARTS

CHAPTERS: Final = (
    EXITS,
    LOST,
    ENDED_BY_KUBELET,
    DISRUPTIONS,
    ADMITTED,
    STARTS,
    PLACING,
)
ROWS: Final = tuple(row for chapter in CHAPTERS for row in chapter.rows)
