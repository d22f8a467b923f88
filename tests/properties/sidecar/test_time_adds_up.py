"""Every second is in exactly one bucket (I8), whatever happens in it; and text survives quoting."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.clock import EPOCH
from kit.sidecar import go_quote
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.operator_link.downward_api import unquote
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.last_word import LIMIT, last_word
from spot_sidecar.state.time_buckets import Phase, TimeBuckets, spend

stretches = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=1e4),
        st.sampled_from(Phase),
        st.floats(min_value=-10, max_value=1e4),
        st.integers(min_value=0, max_value=1000),
        st.integers(min_value=0, max_value=50),
    )
)


@given(stretches, st.integers(min_value=0, max_value=1000))
def test_the_buckets_add_up_to_the_time_and_never_shrink(
    stretches: list[tuple[float, Phase, float, int, int]], high_water: int
) -> None:
    seconds, total = TimeBuckets(), 0.0
    for elapsed, phase, stalled, step, made in stretches:
        before = seconds
        seconds = spend(
            seconds,
            elapsed,
            phase,
            stalled=stalled,
            steps=(step, step + made),
            high_water=high_water,
        )
        total += elapsed
        for name, value in seconds.to_json().items():
            assert value >= before.to_json()[name]
    assert seconds.total == pytest.approx(total, abs=1e-6)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_quoted_text_is_read_back(text: str) -> None:
    assert unquote(go_quote(text)[1:-1]) == text


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_the_last_word_fits_and_parses(reason: str, message: str) -> None:
    attempt_state = AttemptState(SystemClock(), 1, EPOCH)
    attempt_state.say("Paused", reason)
    attempt_state.meet("StoreUnreachable", message)
    body = last_word(attempt_state)
    assert len(body) <= LIMIT
    assert json.loads(body)["word"] == "Paused"
