"""A watch in which nothing happens must not pass for a dead one."""

import pytest
from integration.vigil import Vigil
from spot_operator.control.informer import SILENCE_SECONDS

pytestmark = pytest.mark.apiserver


def test_informers_of_quiet_kinds_are_never_silent_for_long(vigil: Vigil) -> None:
    vigil.last(SILENCE_SECONDS + 5)
    assert vigil.errors == []
    assert 0 < vigil.longest < SILENCE_SECONDS
