"""One rank says that its node is bad: the attempt ends so, and that node alone is avoided."""

from dataclasses import replace

import pytest
from kit.builders import NOW, a_job, a_scene, a_word, an_identity, at_work, the_current, the_rank
from spot_operator.api.job import Completion
from spot_operator.domain.attempt.endings import Evidence, judge
from spot_operator.domain.nodes.exclusions import exclude
from spot_operator.domain.state.ledger import RankEnd, RankRecord, Stopping

STOPPED = RankEnd(at=NOW, exit_code=94)


def a_gang(*words: str) -> tuple[RankRecord, ...]:
    """Rank r ended on node r + 1 with the r-th word."""
    one = the_rank(at_work().ledger)
    return tuple(
        replace(
            one,
            rank=rank,
            node=an_identity(f"node-{rank + 1}"),
            word=a_word(word) if word else None,
            ended=STOPPED,
        )
        for rank, word in enumerate(words)
    )


@pytest.mark.parametrize("words", [("StartFailed", "BadNode", ""), ("", "BadNode", "StartFailed")])
def test_its_word_is_not_hidden_by_what_the_others_say_at_last(words: tuple[str, ...]) -> None:
    current = the_current(at_work().ledger)
    verdict = judge(
        (
            Evidence(one, STOPPED, Completion.MARKER, current, stopped=False)
            for one in a_gang(*words)
        ),
        Stopping(NOW),
    )
    assert verdict.ending == "BadNode"
    assert verdict.message.startswith("rank 1: ")


def test_the_nodes_of_its_gang_mates_are_not_avoided() -> None:
    snapshot = at_work(a_job())
    ledger = exclude(a_scene(snapshot), snapshot.ledger, "BadNode", a_gang("", "BadNode", ""))
    assert [one.node.name for one in ledger.excluded] == ["node-2"]
