"""The invariants I1-I4, I6, I7 and I8 hold whatever happens, in whatever order.

Hypothesis plays users, platforms, kubelets, trainers and crashes of the operator against the plan;
the world keeps the truth that the operator cannot see.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from kit.builders import NOW, a_default_policy, a_job, a_notice, a_policy
from properties.domain.world import Machine, Process, World, is_over
from spot_operator.api.job import Completion
from spot_operator.api.names import Condition, State
from spot_operator.api.policy import PolicySpec
from spot_operator.domain.actions import CreatePod, DeletePod, Plan
from spot_operator.domain.attempt.notices import more_severe
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Charge, Fence, Ledger, Word

POLICY = a_default_policy(
    interruptions={"max": 4}, failures={"max": 2}, maxAttemptsWithoutProgress=3
)
STRIKES: dict[str, Callable[[Any, int], None]] = {
    "force": lambda play, _: play.delete_pod(force=True),
    "delete": lambda play, _: play.delete_pod(force=False),
    "evict": lambda play, _: play.evict("EvictionByEvictionAPI"),
    "power": lambda play, pick: play.cut_power(pick),
    "partition": lambda play, pick: play.partition(pick, heal=False),
    "reboot": lambda play, pick: play.reboot(pick),
    "remove": lambda play, pick: play.remove_machine(pick),
    "replace": lambda play, pick: play.replace_machine(pick),
    "preempt": lambda play, _: play.preempt(pause=True),
    "fail": lambda play, _: play.trainer_ends(1),
    "exit": lambda play, _: play.trainer_ends(0),
    "blind": lambda play, _: play.blind(fresh=False),
}
which = st.integers(min_value=0, max_value=7)


class Play(RuleBasedStateMachine):
    """What may happen, and what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(policies=(POLICY,))
        self.endings: dict[int, tuple[str | None, Charge | None]] = {}
        self.sealed = 0
        self.allowed = (4, 2)
        self.serial = 0
        self.lingers = False
        """Whether the trainer that completes the job in the end stays after that."""

    @initialize(
        nodes=st.integers(1, 4),
        completion=st.sampled_from(Completion),
        injects=st.booleans(),
        lingers=st.booleans(),
    )
    def begin(self, nodes: int, completion: Completion, injects: bool, lingers: bool) -> None:
        self.world.injects = injects
        self.lingers = lingers
        self.world.job = a_job(completion=completion, stallTimeout="10m")
        for _ in range(nodes):
            self.add_machine()

    # --- the operator -----------------------------------------------------------------------

    @rule()
    def operate(self) -> None:
        self._pass(None)

    @rule()
    def operate_until_rest(self) -> None:
        for _ in range(30):
            made = self._pass(None)
            if made.ledger is None and not made.actions:
                return
        raise AssertionError("the operator never rests")

    @rule(part=st.floats(0.0, 0.99))
    def sleep(self, part: float) -> None:
        """Until it asked to be woken nothing falls due, however silent the world."""
        self.operate_until_rest()
        wake = plan(self.world.snapshot()).wake_after or timedelta(days=1)
        self.world.now += wake * part
        made = plan(self.world.snapshot())
        assert made.actions == ()
        assert made.ledger is None or not made.urgent

    @rule(writes=st.integers(0, 2))
    def crash(self, writes: int) -> None:
        self._pass(writes)
        self.world.restart()

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule()
    def pause_the_leader(self) -> None:
        """A leader stops between deciding and posting; another takes over."""
        made = plan(self.world.snapshot())
        self.world.late.extend(one for one in made.actions if isinstance(one, CreatePod))
        self.world.restart()

    @precondition(lambda self: self.world.late)
    @rule()
    def resume_the_former_leader(self) -> None:
        self.world.act(self.world.late.pop())

    def _pass(self, crash_after: int | None) -> Plan:
        before = self.world.ledger()
        made = self.world.operate(crash_after=crash_after)
        after = self.world.ledger()
        self._check_creations(before, made)
        self._check_deletions(made)
        self._check_lost(made)
        self._check_charges(before, after)
        self._check_terminal(before, after, made)
        if after.state is State.CREATED:
            self.sealed = max(self.sealed, after.attempt)
        return made

    def _check_creations(self, ledger: Ledger, made: Plan) -> None:
        """I1: nobody of an earlier attempt can extend the lineage; numbers are never reused."""
        for action in made.actions:
            if not isinstance(action, CreatePod):
                continue
            assert ledger.state is State.CREATING
            assert ledger.attempt == action.attempt > self.sealed
            for process in self.world.alive():
                # On a machine that nobody hears of: fenced by silence, and by claims if it heals.
                silent = process.machine is not None and not process.machine.heard
                fenced = silent or process.forced
                if process.view.attempt < action.attempt and not fenced:
                    raise AssertionError(f"{process.view.name} is alive")

    def _check_deletions(self, made: Plan) -> None:
        """Force only where no process is left, or its node went silent in sight of others."""
        for action in made.actions:
            if isinstance(action, DeletePod) and action.grace_seconds == 0:
                process = self._process(action.uid)
                if process is not None and process.alive:
                    assert process.machine is not None
                    assert not process.machine.heard or process.machine.out_of_service

    def _process(self, uid: str) -> Process | None:
        return next((one for one in self.world.pods if one.view.uid == uid), None)

    def _check_lost(self, made: Plan) -> None:
        """I2: a silent node is lost only while we see, and others are seen."""
        ended = made.ledger.ranks if made.ledger is not None else ()
        for record in ended:
            if record.ended is None or record.ended.fence is not Fence.NODE_LOST:
                continue
            if record.ended.at != self.world.now or record.node is None:
                continue
            assert self.world.fresh
            assert not self.world.machines[record.node.name].heard
            assert any(one.heard for one in self.world.machines.values())

    def _check_charges(self, before: Ledger, after: Ledger) -> None:
        """I4: an ending is recorded once, charged once, and no budget is exceeded."""
        for record in after.attempts:
            if record.ending is None:
                continue
            known = self.endings.setdefault(record.number, (record.ending, record.charged))
            assert known == (record.ending, record.charged), "an ending was charged twice"
        charged = [charge for _, charge in self.endings.values()]
        assert after.budgets.interruptions == charged.count(Charge.INTERRUPTION)
        assert after.budgets.failures <= charged.count(Charge.FAILURE)
        if after.budgets.interruptions > before.budgets.interruptions:
            assert after.budgets.interruptions <= self.allowed[0]
        if after.budgets.failures > before.budgets.failures:
            assert after.budgets.failures <= self.allowed[1]
        # No free restart: every attempt but the current one has its ending.
        assert set(range(1, after.attempt)) <= set(self.endings)

    def _check_terminal(self, before: Ledger, after: Ledger, made: Plan) -> None:
        """I3: what is finished stays finished, and creates nothing."""
        if not is_over(before):
            return
        verdict = before.condition(Condition.SUCCEEDED)
        now = after.condition(Condition.SUCCEEDED)
        assert is_over(after)
        assert after.attempt == before.attempt
        assert verdict is not None
        assert now is not None
        assert replace(now, observed_generation=0) == replace(verdict, observed_generation=0)
        assert not any(isinstance(one, CreatePod) for one in made.actions)

    # --- time, kubelets, trainers -----------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 5, 10, 15, 30, 60]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(minutes=st.sampled_from([5, 60]))
    def pass_long(self, minutes: int) -> None:
        for _ in range(minutes * 2):
            self.world.pass_time(30)

    @rule(rounds=st.integers(1, 6), steps=st.integers(0, 50), commit=st.booleans())
    def go_on(self, rounds: int, steps: int, commit: bool) -> None:
        """Everybody does what they do on a good day."""
        for _ in range(rounds):
            self._a_round(steps, commit=commit)

    def _a_round(self, steps: int, *, commit: bool) -> None:
        self.world.pass_time(10)
        self.schedule(self.serial - 1)
        self.train(steps, commit)
        self.report()
        for _ in range(6):
            self._pass(None)

    @rule(steps=st.integers(1, 50))
    def train_and_go_on(self, steps: int) -> None:
        self.go_on(3, steps, True)

    @rule(pick=which)
    def schedule(self, pick: int) -> None:
        pending = [one for one in self.world.pods if one.machine is None]
        free = [one for one in self.world.machines.values() if one.takes_pods]
        if pending and free:
            self.world.place(pending[0], free[pick % len(free)])

    @rule(steps=st.integers(0, 50), commit=st.booleans())
    def train(self, steps: int, commit: bool) -> None:
        for process in self.world.alive():
            self.world.train(process, steps, commit=commit)

    @rule()
    def report(self) -> None:
        for process in self.world.alive():
            self.world.report(process)

    @rule(code=st.sampled_from([0, 1, 137]))
    def trainer_ends(self, code: int) -> None:
        for process in self._on_live_machines():
            # A recommendation or a maintenance window tells nobody to end: such an exit is clean.
            if code == 0 and not process.told_to_end:
                self.world.clean_exit = True
            self.world.end(process, code, "OOMKilled" if code == 137 else "")

    @precondition(lambda self: len(self.endings) > 2)
    @rule(told=st.booleans())
    def trainer_completes(self, told: bool) -> None:
        self._complete(told=told)

    @precondition(lambda self: len(self.endings) > 2)
    @rule(word=st.sampled_from(["Finished", "Paused", "Refused"]), told=st.booleans())
    def trainer_lingers(self, word: str, told: bool) -> None:
        self._linger(word, told=told)

    def _linger(self, word: str, *, told: bool) -> None:
        """It says its last word, and its process does not end."""
        for process in self._on_live_machines():
            if process.resume is not None and process.word is None:
                self.world.marker = self.world.marker or word == "Finished"
                process.word, process.lingers = Word(word), True
                if told:
                    self.world.report(process)

    @rule(injects=st.booleans())
    def webhook(self, injects: bool) -> None:
        """Pods that begin from now on have a container that never ends, or have none."""
        self.world.injects = injects

    def _complete(self, *, told: bool) -> None:
        for process in self._on_live_machines():
            if process.resume is not None and not process.lingers:
                self.world.marker = True
                process.word = Word("Finished")
                if told:
                    self.world.report(process)
                self.world.end(process, 0)

    @rule(times=st.integers(2, 5))
    def fail_in_a_row(self, times: int) -> None:
        for _ in range(times):
            self._a_round(0, commit=False)
            self.trainer_ends(1)
            for _ in range(7):
                self._a_round(0, commit=False)

    @precondition(lambda self: len(self.endings) > 2)
    @rule()
    def trainer_refuses(self) -> None:
        for process in self._on_live_machines():
            self.world.end(process, 93)

    def _on_live_machines(self) -> list[Process]:
        return [one for one in self.world.alive() if one.machine is not None and one.machine.heard]

    # --- the platform -----------------------------------------------------------------------

    @rule()
    def add_machine(self) -> None:
        self.serial += 1
        name = f"node-{self.serial}"
        self.world.machines[name] = Machine(name, f"uid-{self.serial}", renewals=[self.world.now])

    def _machine(self, pick: int) -> Machine:
        machines = list(self.world.machines.values())
        return machines[pick % len(machines)]

    @rule(pick=which)
    def cut_power(self, pick: int) -> None:
        self.world.cut_power(self._machine(pick))

    @rule(pick=which, heal=st.booleans())
    def partition(self, pick: int, heal: bool) -> None:
        self._machine(pick).connected = heal

    @rule(pick=which)
    def reboot(self, pick: int) -> None:
        if self._machine(pick).registered:
            self.world.boot(self._machine(pick))

    @rule(pick=which)
    def remove_machine(self, pick: int) -> None:
        self.world.unregister(self._machine(pick))

    @rule(pick=which)
    def replace_machine(self, pick: int) -> None:
        machine = self._machine(pick)
        self.world.unregister(machine)
        self.serial += 1
        fresh = Machine(machine.name, f"uid-{self.serial}", renewals=[self.world.now])
        self.world.take_over(machine, fresh)

    @rule(pick=which)
    def put_out_of_service(self, pick: int) -> None:
        """What the taint promises: the machine is off."""
        self.world.cut_power(self._machine(pick))
        self._machine(pick).out_of_service = True

    @rule(kind=st.sampled_from(["Preempt", "Rebalance", "Maintenance"]))
    def announce(self, kind: Any) -> None:
        for process in self.world.alive():
            since = (self.world.now - NOW).total_seconds()
            process.notice = more_severe(process.notice, a_notice(kind, since, since + 120))
            process.told_to_end = process.told_to_end or kind == "Preempt"

    @rule(pause=st.booleans())
    def preempt(self, pause: bool) -> None:
        for process in self._on_live_machines():
            self.announce("Preempt")
            self.world.end(process, 0, word=Word("Paused") if pause else None)

    @rule(fresh=st.booleans())
    def blind(self, fresh: bool) -> None:
        self.world.fresh = fresh

    # --- people -----------------------------------------------------------------------------

    @rule(force=st.booleans())
    def delete_pod(self, force: bool) -> None:
        """By force only what the ledger knows: a pod that a former leader posted late and that
        somebody removes by force before we record it is left to the claims in the store."""
        known = {one.uid for one in self.world.ledger().ranks}
        for process in list(self.world.pods):
            if process.view.uid in known or not force:
                self.world.delete(process, force=force)

    @rule(reason=st.sampled_from(["EvictionByEvictionAPI", "PreemptionByScheduler"]))
    def evict(self, reason: str) -> None:
        for process in list(self.world.pods):
            self.world.disrupt(process, reason)

    @rule(strike=st.sampled_from(sorted(STRIKES)), steps=st.integers(1, 50), pick=which)
    def strike(self, strike: str, steps: int, pick: int) -> None:
        """One misfortune on a good day, and what the operator makes of it at once."""
        self.go_on(3, steps, True)
        STRIKES[strike](self, pick)
        self.operate_until_rest()
        self.world.pass_time(15)
        self.operate_until_rest()

    @rule(wait=st.sampled_from([1, 5, 15]))
    def post_late(self, wait: int) -> None:
        """A leader pauses before its POST, which comes when the attempt was given up."""
        self.delete_pod(force=False)
        self.world.pass_time(40)
        for _ in range(12):
            if self.world.ledger().state is State.CREATING:
                break
            self._pass(None)
        self.pause_the_leader()
        self.suspend(True)
        self.operate_until_rest()
        self.world.pass_time(wait)
        self.operate_until_rest()
        self.suspend(False)
        self.operate()
        for action in self.world.late:
            self.world.act(action)
        self.world.late.clear()
        self.schedule(0)
        self.operate_until_rest()

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        job = self.world.job
        if job is not None and job.spec.suspend != suspend:
            spec = job.spec.model_copy(update={"suspend": suspend})
            self.world.job = replace(job, spec=spec, generation=job.generation + 1)

    @rule(name=st.sampled_from([None, "standard", "absent", "gold"]))
    def name_policy(self, name: str | None) -> None:
        job = self.world.job
        if job is not None:
            spec = job.spec.model_copy(update={"policy_name": name})
            self.world.job = replace(job, spec=spec, generation=job.generation + 1)

    @rule(interruptions=st.integers(0, 6), failures=st.integers(0, 4))
    def edit_policy(self, interruptions: int, failures: int) -> None:
        changed = a_default_policy(
            interruptions={"max": interruptions},
            failures={"max": failures},
            maxAttemptsWithoutProgress=3,
        )
        self.world.policies = (changed, a_policy("gold", priorityClassNames=["gold"]))
        self.allowed = (interruptions, failures)

    # --- always -----------------------------------------------------------------------------

    @invariant()
    def one_process_is_granted(self) -> None:
        """I1: of all processes that can reach the store, at most one attempt's goes on."""
        going = {
            one.view.attempt
            for one in self._on_live_machines()
            if one.resume is not None and max(self.world.claims, default=0) <= one.view.attempt
        }
        assert len(going) <= 1

    @invariant()
    def success_is_earned(self) -> None:
        """I6: the marker, or with ExitCode exit 0 of a trainer that nobody told to end."""
        verdict = self.world.ledger().condition(Condition.SUCCEEDED)
        if verdict is None or verdict.status != "True":
            return
        job = self.world.job
        assert job is not None
        exit_counts = job.spec.completion is Completion.EXIT_CODE
        assert self.world.marker or (exit_counts and self.world.clean_exit)

    @invariant()
    def time_adds_up(self) -> None:
        """I8: every second in exactly one bucket."""
        time = self.world.ledger().time
        if time.since is not None:
            assert sum((amount for _, amount in time.buckets), timedelta(0)) == time.since - NOW
            assert time.since <= self.world.now

    @invariant()
    def status_is_small(self) -> None:
        assert len(repr(self.world.status)) < 65_536

    # --- in the end -------------------------------------------------------------------------

    def teardown(self) -> None:
        """Left alone on a healthy cluster the job ends, leaves nothing running, and rests."""
        if not self.world.machines:
            return
        self._heal()
        for _ in range(600):
            self._live_on()
            if is_over(self.world.ledger()):
                break
        ledger = self.world.ledger()
        assert is_over(ledger), f"stuck in {ledger.state}: {ledger}"
        for _ in range(20):
            self._live_on()
        assert not self.world.alive(), "I7: a process outlives its job"
        assert all(one.view.terminal for one in self.world.pods)
        made = plan(self.world.snapshot())
        assert (made.ledger, made.actions) == (None, ())

    def _heal(self) -> None:
        self.world.fresh = True
        self.world.late.clear()
        self.name_policy(None)
        self.suspend(False)
        self.add_machine()
        for machine in self.world.machines.values():
            machine.connected = True

    def _live_on(self) -> None:
        self._a_round(0, commit=False)
        if self.world.ledger().state is State.CREATED:
            if self.lingers:
                self._linger("Finished", told=True)
            else:
                self._complete(told=True)


Play.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    report_multiple_bugs=False,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTheInvariants = Play.TestCase
assert isinstance(POLICY.spec, PolicySpec)
