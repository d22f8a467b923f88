"""What was done and is not seen yet."""

from kit.clock import FakeClock, in_fake_time
from spot_operator.control.expectations import Expectations


def test_a_key_waits_until_everything_was_seen() -> None:
    async def scenario(clock: FakeClock) -> None:
        expectations = Expectations[str](clock)
        assert expectations.satisfied("job")
        expectations.expect("job", ["pod-0", "pod-1"])
        expectations.seen("job", "pod-0")
        assert not expectations.satisfied("job")
        assert expectations.missing("job") == ("pod-1",)
        assert expectations.satisfied("another job")
        expectations.seen("job", "pod-1")
        assert expectations.satisfied("job")

    in_fake_time(scenario)


def test_a_lost_event_wedges_nothing() -> None:
    async def scenario(clock: FakeClock) -> None:
        expectations = Expectations[str](clock, timeout_seconds=60)
        expectations.expect("job", ["uid-1"])
        await clock.sleep(30)
        expectations.expect("job", ["uid-2"])
        assert expectations.expires_in("job") == 60
        await clock.sleep(30)
        assert expectations.missing("job") == ("uid-2",)
        await clock.sleep(30)
        assert expectations.satisfied("job")
        assert expectations.expires_in("job") is None

    in_fake_time(scenario)


def test_news_of_the_unexpected_is_fine() -> None:
    async def scenario(clock: FakeClock) -> None:
        expectations = Expectations[str](clock)
        expectations.seen("job", "pod-0")
        expectations.expect("job", ["pod-0"])
        expectations.forget("job")
        assert expectations.satisfied("job")

    in_fake_time(scenario)
