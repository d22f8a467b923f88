"""Reports for tests, as a sidecar would send them."""

import json
from typing import Any

from spot_operator.reports.schema import Report

Json = dict[str, Any]

STARTED = "2026-01-01T00:00:00Z"


def a_report_body(**fields: Any) -> Json:
    """The JSON of a report; `fields` (camelCase) replace or add."""
    return {
        "version": 1,
        "namespace": "research",
        "job": "digits",
        "jobUID": "uid-of-digits",
        "attempt": 1,
        "rank": 0,
        "pod": "digits-1-0",
        "podUID": "pod-1",
        "sequence": 1,
        "startedAt": STARTED,
        "state": "Training",
        "trainer": {"registered": True, "step": 0, "samples": 0, "epoch": 0},
        **fields,
    }


def a_report(**fields: Any) -> Report:
    """The same, read."""
    return Report.model_validate_json(json.dumps(a_report_body(**fields)))


def a_notice(kind: str = "Preempt", **fields: Any) -> Json:
    """A notice inside a report."""
    return {
        "kind": kind,
        "deadline": "2026-01-01T00:02:00Z",
        "source": "imds",
        "observedAt": "2026-01-01T00:00:00Z",
        "raw": "",
        **fields,
    }
