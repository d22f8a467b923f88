"""A tiny world to which plans are applied: one job, nodes, kubelets, sidecars, an API server.

It keeps the truth (which process is alive, which claim was made, whether the marker is in the
store) apart from what the operator may see, and counts what was done to it.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from kit.builders import NOW, a_job
from spot_operator.api.names import ANNOTATION_ENDED, ANNOTATION_NODE, ANNOTATION_NOTICE, State
from spot_operator.domain.actions import Action, AnnotatePod, CreatePod, DeleteJob, DeletePod, Plan
from spot_operator.domain.observed.elapsed import absent
from spot_operator.domain.observed.snapshot import (
    CommitReport,
    ConditionView,
    ContainerView,
    JobKey,
    JobView,
    NodeView,
    PodView,
    PolicyView,
    ReportView,
    ResumeReport,
    Sign,
    Snapshot,
    TaintView,
    Visibility,
)
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import CommitRef, Ledger, NodeIdentity, Notice, Word
from spot_operator.domain.state.status import ledger_of, status_of

OUT_OF_SERVICE = TaintView("node.kubernetes.io/out-of-service", effect="NoExecute")


@dataclass
class Machine:
    """A node: its object in the API, and the machine itself."""

    name: str
    uid: str
    boot: int = 1
    powered: bool = True
    connected: bool = True
    registered: bool = True
    out_of_service: bool = False
    left_at: datetime | None = None
    renewals: list[datetime] = field(default_factory=list)
    """Of its lease, as this operator process saw them."""

    @property
    def identity(self) -> NodeIdentity:
        return NodeIdentity(self.name, self.uid, f"boot-{self.boot}-of-{self.name}")

    @property
    def takes_pods(self) -> bool:
        return self.heard and self.registered and not self.out_of_service

    @property
    def heard(self) -> bool:
        return self.powered and self.connected


@dataclass
class Process:
    """A pod and what runs in it."""

    view: PodView
    machine: Machine | None = None
    born_as: NodeIdentity | None = None
    alive: bool = False
    """The trainer's process is running."""
    forced: bool = False
    """The operator deleted the pod by force: it took the node for lost."""
    resume: ResumeReport | None = None
    step: int = 0
    stepped_at: datetime = NOW
    commit: CommitRef | None = None
    commits: int = 0
    notice: Notice | None = None
    word: Word | None = None
    told_to_end: bool = False
    begun: datetime = NOW
    dies_at: datetime = NOW
    lingers: bool = False
    """It has said its last word, and its process does not end."""
    reported: ReportView | None = None
    reported_at: datetime = NOW
    word_heard: datetime | None = None


@dataclass
class World:
    """The truth, the operator's caches, and the history of what the operator did."""

    now: datetime = NOW
    job: JobView | None = field(default_factory=a_job)
    status: dict[str, Any] = field(default_factory=dict)
    policies: tuple[PolicyView, ...] = ()
    machines: dict[str, Machine] = field(default_factory=dict)
    pods: list[Process] = field(default_factory=list)
    ghosts: list[Process] = field(default_factory=list)
    """Processes that outlive their pod's object."""
    tombstones: list[PodView] = field(default_factory=list)
    fresh: bool = True
    synced_at: datetime = NOW
    missed: dict[Sign, datetime] = field(default_factory=dict)
    """Since when pods that are on record are missed."""
    store: list[CommitRef] = field(default_factory=list)
    claims: dict[int, str] = field(default_factory=dict)
    marker: bool = False
    clean_exit: bool = False
    draw: float = 0.5
    injects: bool = False
    """Whether a webhook puts a container that never ends into every pod."""
    created: list[CreatePod] = field(default_factory=list)
    history: list[Ledger] = field(default_factory=list)
    late: list[CreatePod] = field(default_factory=list)
    """POSTs of a paused former leader, still under way."""

    def ledger(self) -> Ledger:
        return ledger_of(self.status)

    # --- what the operator sees -------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        return Snapshot(
            key=JobKey("research", "digits"),
            now=self.now,
            job=self.job,
            ledger=self.ledger(),
            visibility=Visibility(
                fresh=self.fresh,
                leading_for=self._age(self.synced_at),
                leases={one.name: self._ages(one) for one in self._registered()},
            ),
            policies=self.policies,
            pods=(*(one.view for one in self.pods), *self.tombstones),
            nodes={one.name: self._node(one) for one in self._registered()},
            reports={
                one.view.uid: self._report(one, one.reported)
                for one in self.pods
                if one.reported is not None
            },
            draw=self.draw,
            seen=self._absences(),
        )

    def _absences(self) -> dict[Sign, float]:
        """Seconds since this leader first missed each pod that is on record and gone."""
        there = {one.view.uid for one in self.pods}
        missed = [absent(one) for one in self.ledger().ranks if one.uid not in there]
        self.missed = {sign: self.missed.get(sign, self.now) for sign in missed}
        return {sign: self._age(max(at, self.synced_at)) for sign, at in self.missed.items()}

    def _registered(self) -> list[Machine]:
        return [one for one in self.machines.values() if one.registered]

    def _age(self, at: datetime) -> float:
        return (self.now - at).total_seconds()

    def _ages(self, machine: Machine) -> tuple[float, ...]:
        return tuple(self._age(at) for at in reversed(machine.renewals))

    def _node(self, machine: Machine) -> NodeView:
        identity = machine.identity
        return NodeView(
            name=machine.name,
            uid=machine.uid,
            boot_id=identity.boot_id,
            taints=(OUT_OF_SERVICE,) if machine.out_of_service else (),
            lease_age=self._ages(machine)[0] if machine.renewals else None,
        )

    def _report(self, process: Process, said: ReportView) -> ReportView:
        return replace(
            said,
            age=self._age(process.reported_at),
            step_age=self._age(min(process.stepped_at, self.now)),
            word_age=None if process.word_heard is None else self._age(process.word_heard),
        )

    # --- one pass ---------------------------------------------------------------------------

    def operate(self, *, crash_after: int | None = None) -> Plan:
        """One pass. It dies after so many of its writes, when told."""
        made = plan(self.snapshot())
        if made.ledger is not None:
            if crash_after != 0:
                self._persist(made.ledger)
            return made
        for count, action in enumerate(made.actions):
            if count == crash_after:
                break
            self.act(action)
        return made

    def _persist(self, ledger: Ledger) -> None:
        written = json.loads(json.dumps(status_of(ledger)))
        assert ledger_of(written) == ledger, "the status does not round-trip"
        self.status = written
        self.history.append(ledger)

    def restart(self) -> None:
        """The operator begins again with empty memory; its caches are synced at once."""
        self.tombstones.clear()
        self.synced_at = self.now
        for machine in self._registered():
            machine.renewals = [self.now]
        for process in self.pods:
            process.reported = process.word_heard = None

    def act(self, action: Action) -> None:
        if isinstance(action, CreatePod):
            self._create(action)
        elif isinstance(action, DeletePod):
            self._delete(action)
        elif isinstance(action, AnnotatePod):
            self._annotate(action)
        elif isinstance(action, DeleteJob):
            self.job = None

    def _create(self, action: CreatePod) -> None:
        name = f"digits-{action.attempt}-{action.rank}"
        if any(one.view.name == name for one in self.pods):
            return
        self.created.append(action)
        view = PodView(
            name=name,
            uid=f"pod-{len(self.created)}",
            attempt=action.attempt,
            rank=action.rank,
            owner_uid=self.job.uid if self.job is not None else "uid-of-digits",
            grace_seconds=30,
            created_at=self.now,
        )
        self.pods.append(Process(view))

    def _delete(self, action: DeletePod) -> None:
        for process in [one for one in self.pods if one.view.uid == action.uid]:
            process.forced = action.grace_seconds == 0
            self.delete(process, force=process.forced)

    def _annotate(self, action: AnnotatePod) -> None:
        for process in [one for one in self.pods if one.view.uid == action.uid]:
            if ANNOTATION_NODE in action.annotations:
                body = json.loads(action.annotations[ANNOTATION_NODE])
                identity = NodeIdentity(body["name"], body["uid"], body["bootID"])
                process.view = replace(process.view, node_identity=identity)
            if ANNOTATION_ENDED in action.annotations:
                process.view = replace(process.view, told_of_end=True)
            assert ANNOTATION_NOTICE not in action.annotations

    # --- what kubelets, users and platforms do ----------------------------------------------

    def delete(self, process: Process, *, force: bool) -> None:
        """DELETE of a pod by the operator, or by somebody else."""
        if force or process.machine is None or process.view.terminal:
            self.remove(process)
            return
        if process.view.deletion_at is None:
            ends = self.now + timedelta(seconds=process.view.grace_seconds)
            process.view = replace(process.view, deletion_at=ends)
            process.told_to_end = True

    def remove(self, process: Process) -> None:
        """The object goes; the kubelet, when it hears of it, ends the process with its grace."""
        self.pods.remove(process)
        self.tombstones.append(replace(process.view, gone=True))
        if process.alive:
            process.dies_at = self.now + timedelta(seconds=process.view.grace_seconds)
            self.ghosts.append(process)

    def place(self, process: Process, machine: Machine) -> None:
        """The scheduler binds the pod, and the kubelet runs it."""
        process.machine, process.born_as = machine, machine.identity
        process.begun = process.stepped_at = self.now
        up = ContainerView(state="running", started_at=self.now)
        process.alive = True
        beside = (replace(up, name="proxy"),) if self.injects else ()
        process.view = replace(
            process.view,
            phase="Running",
            node_name=machine.name,
            trainer=up,
            sidecar=up,
            others=beside,
        )

    def end(self, process: Process, code: int, reason: str = "", word: Word | None = None) -> None:
        """The trainer ends by itself or at our wish; the kubelet tells, if it can."""
        process.alive = False
        process.word = process.word or word
        self.tell(process, code, reason)

    def tell(self, process: Process, code: int, reason: str = "") -> None:
        """The kubelet reports the end of a process it knows of."""
        trainer = replace(
            process.view.trainer,
            state="terminated",
            exit_code=code,
            reason=reason or ("Error" if code else "Completed"),
            finished_at=self.now,
        )
        process.view = replace(process.view, trainer=trainer)
        if not process.view.others:
            self.finish(process)

    def finish(self, process: Process) -> None:
        """The last container of the pod ends, and the kubelet tells of the pod's end."""
        word, trainer = process.word, process.view.trainer
        message = json.dumps(
            {
                "version": 1,
                "word": word.word if word else None,
                "reason": word.reason if word else "",
                "step": process.step,
                "commit": _commit(process.commit),
                "notice": _notice(process.notice),
            }
        )
        sidecar = replace(process.view.sidecar, state="terminated", message=message)
        phase = "Failed" if trainer.exit_code else "Succeeded"
        process.view = replace(process.view, phase=phase, sidecar=sidecar, others=())

    def disrupt(self, process: Process, reason: str) -> None:
        """Somebody evicts the pod through the API."""
        condition = ConditionView("DisruptionTarget", "True", reason)
        conditions = (*process.view.conditions, condition)
        process.view = replace(process.view, conditions=conditions)
        self.delete(process, force=False)

    def alive(self) -> list[Process]:
        """Trainers that run on machines that run."""
        return [one for one in (*self.pods, *self.ghosts) if one.alive]

    def cut_power(self, machine: Machine) -> None:
        machine.powered = False
        for process in (*self.pods, *self.ghosts):
            if process.machine is machine:
                process.alive = False

    def boot(self, machine: Machine) -> None:
        """The machine comes (back) up; what ran on it before did not survive."""
        if machine.powered:
            self.cut_power(machine)
        machine.powered = machine.connected = True
        machine.out_of_service = False
        machine.boot += 1
        for process in self.pods:
            if process.machine is machine and not process.view.terminal:
                if not process.view.trainer.ended:
                    self.tell(process, 137, "ContainerStatusUnknown")
                if not process.view.terminal:
                    self.finish(process)

    def unregister(self, machine: Machine) -> None:
        """The platform removes the machine and its node object; its pods are collected."""
        self.cut_power(machine)
        machine.registered = False
        machine.left_at = self.now
        machine.renewals = []

    def take_over(self, old: Machine, new: Machine) -> None:
        """A new machine of the old one's name: its kubelet runs what is bound to that name."""
        self.machines[new.name] = new
        for process in self.pods:
            if process.machine is old and not process.view.terminal:
                process.machine = new
                process.alive = True
                if self.claims.get(process.view.attempt) == process.view.uid:
                    self.end(process, 94, word=Word("Resurrected"))

    # --- time -------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Leases are renewed, kubelets work, sidecars report."""
        self.now += timedelta(seconds=seconds)
        for machine in self._registered():
            if machine.heard and self.fresh:
                machine.renewals = [*machine.renewals, self.now][-200:]
        for ghost in self.ghosts:
            if ghost.machine is not None and ghost.machine.heard and self.now >= ghost.dies_at:
                ghost.alive = False
        for process in list(self.pods):
            self._kubelet(process)
            self._collect(process)
        for process in self.alive():
            self._sidecar(process)

    def _kubelet(self, process: Process) -> None:
        machine = process.machine
        if machine is None or not machine.heard or process.view.deletion_at is None:
            return
        if process.alive:
            self.end(process, 143)
        elif process.view.terminal:
            self.remove(process)
        else:
            self.finish(process)

    def _collect(self, process: Process) -> None:
        """The pod collector: a pod whose node object is gone fails, and goes."""
        machine = process.machine
        if machine is None or machine.registered or process.view.terminal:
            return
        if self.now - (machine.left_at or self.now) >= timedelta(seconds=60):
            condition = ConditionView("DisruptionTarget", "True", "DeletionByPodGC")
            conditions = (*process.view.conditions, condition)
            process.view = replace(process.view, phase="Failed", conditions=conditions)
            self.remove(process)

    def _sidecar(self, process: Process) -> None:
        machine = process.machine
        if machine is None or not machine.heard:
            return
        attempt = process.view.attempt
        holder = self.claims.setdefault(attempt, process.view.uid)
        if max(self.claims) > attempt:
            self.end(process, 94, word=Word("Superseded"))
        elif holder != process.view.uid:
            self.end(process, 94, word=Word("Resurrected"))
        elif process.resume is None:
            self._resume(process)

    def _resume(self, process: Process) -> None:
        newest = max(self.store, key=lambda one: (one.attempt, one.step), default=None)
        if self.marker:
            process.resume = ResumeReport("completed")
            self.end(process, 0)
        elif newest is None:
            process.resume = ResumeReport("fresh")
        else:
            process.resume = ResumeReport("checkpoint", newest)
            process.step = newest.step

    def train(self, process: Process, steps: int, *, commit: bool) -> None:
        """The trainer makes steps, perhaps a checkpoint."""
        if process.resume is None or not process.alive or process.lingers:
            return
        process.step += steps
        process.stepped_at = self.now
        if commit and process.machine is not None and process.machine.heard:
            attempt = process.view.attempt
            ref = CommitRef(attempt, process.step, f"a{attempt:08d}-s{process.step:012d}-00000000")
            if ref not in self.store:
                self.store.append(ref)
                process.commit, process.commits = ref, process.commits + 1

    def report(self, process: Process) -> None:
        """The sidecar's report reaches the operator."""
        if process.machine is None or not process.machine.heard:
            return
        passed = self._age(process.begun)
        commit = process.commit
        process.reported_at = self.now
        if process.word is not None:
            process.word_heard = process.word_heard or self.now
        process.reported = ReportView(
            age=0.0,
            step_age=0.0,
            state="Training" if process.resume is not None else "Waiting",
            registered=True,
            step=process.step,
            resume=process.resume,
            commit=CommitReport(commit, self.now) if commit is not None else None,
            commits=process.commits,
            seconds={"startUp": passed * 0.1, "productive": passed * 0.8},
            notice=process.notice,
            word=process.word,
        )


def _commit(ref: CommitRef | None) -> dict[str, Any] | None:
    return None if ref is None else {"attempt": ref.attempt, "step": ref.step, "id": ref.id}


def _notice(notice: Notice | None) -> dict[str, Any] | None:
    if notice is None:
        return None
    deadline = notice.deadline.isoformat() if notice.deadline is not None else None
    return {
        "kind": notice.kind,
        "deadline": deadline,
        "source": notice.source,
        "observedAt": notice.observed_at.isoformat(),
        "raw": notice.raw,
    }


def is_over(ledger: Ledger) -> bool:
    """Whether the job is finished."""
    return ledger.state is State.FINISHED
