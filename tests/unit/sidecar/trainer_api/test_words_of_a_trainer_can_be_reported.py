"""A trainer's reason may be the text of any exception: the operator must be able to read it."""

import json

import pytest
from spot_sidecar.trainer_api.requests import Say, parse


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("no caf\udce9.bin", "no caf?.bin"),
        ("\ud800", "?"),
        ("\u00e9\U0001f600", "\u00e9\U0001f600"),
    ],
)
def test_a_reason_is_valid_json_wherever_it_goes(said: str, sent: str) -> None:
    heard = parse(Say, json.loads(json.dumps({"process": 0, "word": "Refused", "reason": said})))
    assert heard.reason == sent
    assert json.dumps(heard.reason, ensure_ascii=False).encode()
