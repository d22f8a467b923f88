"""What a person sees: a line per happening, with the seconds since the start."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.proof import Claims

Object = dict[str, Any]


class Timeline:
    """Prints each happening as it happens."""

    def __init__(self, console: Console) -> None:
        self._console, self._started = console, time.monotonic()

    def tell(self, text: str) -> None:
        """One line, with the seconds since the timeline began."""
        elapsed = time.monotonic() - self._started
        self._console.print(f"[dim]{elapsed:6.1f} s[/dim]  {text}", highlight=False)


def claims_table(claims: Claims) -> Table:
    """The claims, whether they hold, and the figures they rest on."""
    table = Table(title="What was claimed", title_justify="left")
    for heading in ("", "claim", "figures"):
        table.add_column(heading)
    for holds, what, figures in claims.made:
        table.add_row("[green]holds[/green]" if holds else "[red]FAILS[/red]", what, figures)
    return table


def attempts_table(status: Object) -> Table:
    """One row per attempt, as the job's status tells it."""
    table = Table(title="Attempts", title_justify="left")
    headings = ("attempt", "node", "resumed at", "last step", "replayed", "ending", "retry (s)")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"node", "ending"} else "right")
    for record in status.get("attempts", []):
        resumed = (record.get("resumedFrom") or {}).get("step", 0)
        cells = (
            *(record["number"], (record.get("node") or ""), resumed, record.get("step", "")),
            *(record.get("replayedSteps", 0), record.get("ending", "")),
            record.get("retrySeconds", ""),
        )
        table.add_row(*(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells))
    return table


def totals_table(status: Object) -> Table:
    """Interruptions, replayed work, and where the time went."""
    table = Table(title="Totals", title_justify="left", show_header=False)
    newest = status.get("checkpoint", {}).get("newest") or {}
    rows = {
        **status.get("totals", {}),
        "checkpoints": status.get("checkpoint", {}).get("commits", 0),
        "last checkpoint write (s)": newest.get("writeSeconds", ""),
        **{f"{name} (s)": s for name, s in status.get("time", {}).get("buckets", {}).items() if s},
    }
    for name, value in rows.items():
        shown = f"{value:.1f}" if isinstance(value, float) else str(value)
        table.add_row(name, shown)
    return table
