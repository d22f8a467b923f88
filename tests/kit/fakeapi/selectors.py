"""Label and field selectors, as the API server reads them in a query."""

import re
from collections.abc import Callable
from typing import Any

from spot_operator.control.client import Json
from spot_operator.control.errors import BadRequest

__all__ = ["Matches", "field_selector", "label_selector"]

Matches = Callable[[Json], bool]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^=!\s]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^=!\s]*)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[A-Za-z0-9_./-]+)$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


def label_selector(text: str) -> Matches:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k`; empty matches all.

    Raises:
        BadRequest: it is not of that form.
    """
    terms = [_label_term(term.strip()) for term in _COMMA_OUTSIDE_PARENTHESES.split(text) if term]
    return lambda item: all(term(item["metadata"].get("labels") or {}) for term in terms)


def _label_term(term: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(term):
        key, values = found["key"], {v.strip() for v in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(term):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(term):
        key, wanted = found["key"], not found["no"]
        return lambda labels: (key in labels) is wanted
    raise BadRequest(f"unable to parse requirement: {term!r}")


def field_selector(text: str) -> Matches:
    """`metadata.name=a,spec.nodeName!=b`; a missing field counts as empty."""
    terms = [_field_term(term.strip()) for term in text.split(",") if term]
    return lambda item: all(term(item) for term in terms)


def _field_term(term: str) -> Matches:
    found = _EQUAL.match(term)
    if not found:
        raise BadRequest(f"invalid field selector: {term!r}")
    path, value, same = found["key"].split("."), found["value"], found["op"] != "!="
    return lambda item: (str(_at(item, path)) == value) is same


def _at(item: Any, path: list[str]) -> Any:
    for step in path:
        item = (item or {}).get(step)
    return "" if item is None else item
