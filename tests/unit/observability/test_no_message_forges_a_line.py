"""A log is read line by line: nothing that others wrote may look like a line of ours."""

import json
import logging
from collections.abc import Iterator

import pytest
from spot_operator.observability.logs import Format, configure

FORGED = "no such pod\r\n2026-01-01 ERROR   app: all is lost\x1b[2J\x9b2J\u2028\u202e"


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_message_is_one_line_without_control_characters(
    form: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("info", form)
    logging.getLogger("app").warning("the API server refuses it: %s", FORGED)
    line, end, more = capsys.readouterr().err.partition("\n")
    assert (end, more) == ("\n", "")
    assert line.isprintable()
    assert "all is lost" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_exception_forges_one_either(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", form)
    try:
        json.loads(FORGED)
    except ValueError as error:
        error.add_note(FORGED)
        logging.getLogger("app").exception("the operator ends")
    first, *others = capsys.readouterr().err.splitlines()
    assert first.isprintable()
    assert all(one.startswith("    ") and one.isprintable() for one in others)
    assert (form == "json") is (others == [])
