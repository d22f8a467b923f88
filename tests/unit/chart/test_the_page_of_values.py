"""docs/values.md says what values.yaml says."""

from typing import Any

import pytest
import yaml
from gen_values import PAGE, VALUES, main, page, rows

TEXT = """
# How many.
replicas: 2
group:
  # A map on one line
  # is one value.
  limits: {cpu: 1, memory: 2}
  level: info  # or debug

# Not about what follows the empty line.

other: []
"""


def test_the_committed_page_is_current() -> None:
    assert main(["--check"]) == 0, "run `make gen`"


def test_comments_above_and_behind_belong_to_their_value() -> None:
    assert [tuple(row) for row in rows(TEXT)] == [
        ("replicas", "2", "How many."),
        ("group", None, ""),
        ("group.limits", '{"cpu": 1, "memory": 2}', "A map on one line is one value."),
        ("group.level", '"info"', "or debug"),
        ("other", "[]", ""),
    ]


def test_every_value_is_on_the_page() -> None:
    def paths(values: dict[str, Any], at: str = "") -> list[str]:
        return [path for key in values for path in (f"{at}{key}", *deeper(values[key], at + key))]

    def deeper(value: Any, at: str) -> list[str]:
        return paths(value, f"{at}.") if isinstance(value, dict) else []

    written = {row.path for row in rows(VALUES.read_text())}
    text = PAGE.read_text()
    for path in paths(yaml.safe_load(VALUES.read_text())):
        # What stands in a map on one line is shown with the map.
        assert path in written or path.rpartition(".")[0] in written
        if path in written and path.count(".") == 0:
            assert f"`{path}" in text


def test_a_stale_page_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("gen_values.PAGE", tmp_path / "values.md")
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert (tmp_path / "values.md").read_text() == page(VALUES.read_text())
