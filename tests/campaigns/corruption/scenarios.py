"""What no damage to bytes brings about: stale claims, zombies, rivals, servers and nodes gone bad.

A scenario gets a copy of a lineage, does its worst with real processes and the product's own code,
and ends with attempts that must resume as the oracle says.
"""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from campaigns.corruption.damage import DELETE, SWAP, spoiled
from campaigns.corruption.judged import resumed_as_expected
from campaigns.corruption.place import ROT, VOLUME
from campaigns.corruption.site import Case, origin
from campaigns.corruption.verdict import BAD_NODE, RESUMED, Account
from campaigns.oracle import order_of
from kit.s3_proxy import Asked, Damage, Fault, Lag, Shape, s3_proxy, sometimes
from kit.stores import FaultyStore
from spot_training.checkpoint import commit, keys, orphans, records, retention, selection
from spot_training.checkpoint.manifest import Claim, Expired, Receipt
from spot_training.checkpoint.pruning import Pruner
from spot_training.checkpoint.store import Store
from spot_training.times import utc_now

Scenario = Callable[[Case, Account, str, random.Random], None]
BAD_MEMORY = "campaigns.corruption.bad_memory:main"
FAR = 10**9
"""A step that no honest attempt reaches."""


@dataclass(frozen=True, slots=True)
class Play:
    """A scenario, and where it can be played."""

    scenario: Scenario
    variants: tuple[str, ...] = ("once",)
    places: tuple[str, ...] = (ROT, VOLUME)
    recorded: Mapping[str, str] | str = "plain"
    seeds: int = 1

    def lineage(self, variant: str) -> str:
        """Which recorded lineage it begins with."""
        return self.recorded if isinstance(self.recorded, str) else self.recorded[variant]


def stale_claim(case: Case, account: Account, variant: str, _chance: random.Random) -> None:
    """Somebody else has claimed this attempt, or a later one has begun."""
    newest, number = _newest(case), case.attempts + 1
    claimed = number if variant == "same attempt" else number + 3
    word = "Resurrected" if variant == "same attempt" else "Superseded"
    claim = Claim(attempt=claimed, rank=0, pod_uid="another", nonce="0badc0de", node="z", at=_now())
    case.place.store().create(keys.claim(claimed, 0), records.dump(claim))
    ending = case.resume(newest=origin(newest))
    chosen = case.place.seen.count(f"choice/{number:08d}")
    account.expect("whoever is not the owner begins nothing", str(ending),
                   kept=ending.word == word and not chosen)  # fmt: skip
    case.attempts = claimed
    resumed_as_expected(case, account, newest)


def zombie(case: Case, account: Account, variant: str, chance: random.Random) -> None:
    """An attempt is frozen, amid a commit or anywhere; its successor trains; it wakes up."""
    with case.pod(interval=0.02, newest=origin(_newest(case))) as pod, case.running(pod) as old:
        case.eventually("a commit of the zombie", case.commits, pod)
        if variant == "amid a commit":
            _look_for_half_commit(case)
        for child in chance.sample([old.sidecar, old.trainer], 2):
            child.signal(signal.SIGSTOP)
        case.train(2, newest=origin(_newest(case)))
        for child in (old.sidecar, old.trainer):
            child.signal(signal.SIGCONT)
        if variant != "killed as it wakes":
            case.eventually("the zombie's end", lambda: old.trainer.poll() is not None, pod)
        word = pod.last_word()["word"]
    account.expect(
        "a zombie is told", str(word), kept=variant == "killed as it wakes" or word == "Superseded"
    )
    _expect_led_by(case, account, case.attempts)


def late_commit(case: Case, account: Account, variant: str, _chance: random.Random) -> None:
    """A zombie's checkpoint of an enormous step is committed after its successor's."""
    earlier = case.place.seen.valid_ids()[0]
    case.train(2, newest=origin(earlier))
    store = case.place.store()
    late = _as_if_far(store, earlier)
    store.create(keys.receipt(late.id, 0), records.dump(late))
    if variant == "with its manifest":
        commit.commit(store, [late], committed_at=_now())
    _expect_led_by(case, account, case.attempts)


def late_prune(case: Case, account: Account, variant: str, _chance: random.Random) -> None:
    """A zombie prunes: by what it listed before its successor began, or after it looked again."""
    store = case.place.store()
    for pin in store.list(keys.PINS):
        store.delete(pin)
    known = store.list("")
    case.train(2, newest=origin(_newest(case)))
    before = case.place.seen.valid_ids()
    zombies = store if variant == "looks again" else _Remembering(store, known)
    number = case.attempts - 1
    if variant == "expires first":
        for id_ in selection.newest_first(_committed(zombies))[retention.NEWEST :]:
            word = Expired(id=id_, attempt=number, why="three newer", at=_now())
            store.create(keys.expired(id_), records.dump(word))
    given_up = (
        Pruner(attempt=number, node="node-of-old", now=_now, delay=0.0).prune(zombies).deleted
    )
    orphans.discard_orphans(zombies, before=number)
    after = case.place.seen.valid_ids()
    left = [one for one in before if one not in given_up]
    may = not given_up if variant == "looks again" else len(given_up) > 0
    account.expect("a zombie prunes what it may", f"{given_up}: {before} -> {after}",
                   kept=may and after == left and left[:2] == before[:2])  # fmt: skip
    _expect_led_by(case, account, case.attempts)


def two_committers(case: Case, account: Account, variant: str, _chance: random.Random) -> None:
    """The same receipts are committed by two at once, over and over."""
    newest = _newest(case)
    for id_ in case.place.seen.valid_ids():
        stores = [case.place.store(), case.place.store()]
        receipts = commit.read_receipts(stores[0], id_)
        case.place.delete(case.place.root / keys.commit(id_))

        def one(store: Store, at: str, receipts: tuple[Receipt, ...] = receipts) -> object:
            if variant == "one rolls forward" and at.endswith("2Z"):
                return commit.roll_forward(store, committed_at=at)
            return commit.commit(store, receipts, committed_at=at)

        with ThreadPoolExecutor(2) as pool:
            times = ("2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.2Z")
            list(pool.map(one, stores, times))
        account.expect("of two committers one wins", id_, kept=id_ in case.place.seen.valid_ids())
    resumed_as_expected(case, account, newest)


def framing(case: Case, account: Account, variant: str, _chance: random.Random) -> None:
    """A proxy begins to keep the framing of chunked uploads inside the objects."""
    newest = _newest(case)
    with s3_proxy(case.site.server) as proxy:
        if variant == "from the beginning":
            proxy.shape = Shape(framing=True)
        with case.pod(interval=0.02, newest=origin(newest)) as pod:
            pod.config["store"]["s3"]["endpointURL"] = proxy.url
            with case.running(pod) as attempt:
                if variant != "from the beginning":
                    case.ending(attempt)
                    proxy.shape = Shape(framing=True)
                problem = case.eventually("a problem", lambda: pod.last_word()["problem"], pod)
                ids = case.place.seen.valid_ids()
                if variant == "from the beginning":
                    account.expect("nothing is begun on a store that spoils", str(attempt.lines()),
                                   kept=not attempt.lines() and ids[0] == newest)  # fmt: skip
                    proxy.shape = Shape()
                    ending = case.ending(attempt)
                    account.expect("it begins when the store is mended", str(ending),
                                   kept=ending.chosen == newest)  # fmt: skip
        account.expect("what is wrong is told", str(problem), kept="framing" in problem["message"])
    resumed_as_expected(case, account, case.place.seen.valid_ids()[0])


def lagging_list(case: Case, account: Account, variant: str, _chance: random.Random) -> None:
    """The list does not know yet of what was written last; the job's status does."""
    newest = _newest(case)
    hidden = {"commits": f"/commits/{keys.commit(newest).removeprefix(keys.COMMITS)}"}.get(
        variant, f"/{variant}/"
    )
    times = 2 if variant == "post" else FAR  # without its own post no attempt begins
    lag = sometimes(Lag(hidden), "ListObjectsV2", times=times)
    with s3_proxy(case.site.server) as proxy:
        proxy.fault = lambda asked: lag(asked) if variant in asked.target else None
        resumed_as_expected(case, account, newest, through=proxy.url)


def bad_memory(case: Case, account: Account, variant: str, _chance: random.Random) -> None:
    """What one node reads is wrong, in one bit; on every other node it is right."""
    newest = _newest(case)
    options: dict[str, Any] = {"newest": origin(newest)}
    if variant == "may start fresh":
        options["onNoneValid"] = "StartFresh"
    with _node_with_bad_memory(case, options):
        ending = case.resume(node="bad-node", **options)
    account.expect("a bad node condemns itself", str(ending), kept=ending.word == BAD_NODE)
    account.expect("a bad node quarantines nothing", str(ending),
                   kept=not case.place.seen.quarantined())  # fmt: skip
    resumed_as_expected(case, account, newest)


def bad_transfer(case: Case, account: Account, _variant: str, _chance: random.Random) -> None:
    """One answer is damaged on its way; the next one is not."""
    with s3_proxy(case.site.server) as proxy:
        damage = sometimes(Damage(), "GetObject")
        proxy.fault = lambda asked: damage(asked) if "/data/" in asked.target else None
        resumed_as_expected(case, account, _newest(case), through=proxy.url)
    account.expect(
        "one bad transfer is no evidence", "", kept=not case.place.seen.count("evidence")
    )


def own_document(case: Case, account: Account, variant: str, chance: random.Random) -> None:
    """A sidecar is killed when it has posted; what it wrote is damaged; it starts again."""
    newest = _newest(case)
    hit, kind = variant.split(" ")
    with case.pod(newest=origin(newest)) as pod:
        folder = case.place.root / hit / f"{case.attempts:08d}"
        posted = f"post/{case.attempts:08d}"
        with case.sidecar(pod):
            case.eventually("a post", lambda: case.place.seen.count(posted), pod)
        path = next(path for path in folder.rglob("*") if path.is_file())
        earlier = case.place.root / hit / f"{case.attempts - 1:08d}" / path.relative_to(folder)
        if kind == DELETE:
            case.place.delete(path)
        else:
            body = path.read_bytes()
            case.place.put(
                path, earlier.read_bytes() if kind == SWAP else spoiled(kind, body, chance)
            )
        with case.running(pod) as attempt:
            ending = case.ending(attempt)
    resumed = ending.word == RESUMED and ending.step == order_of(newest)[1] and not ending.wrong
    account.expect("its own document damaged, an attempt takes the same or nothing", str(ending),
                   kept=resumed or ending.word in ("StartFailed", "Resurrected"))  # fmt: skip
    resumed_as_expected(case, account, newest)


def leftovers(case: Case, account: Account, variant: str, chance: random.Random) -> None:
    """An upload that was never finished lies beside what is whole."""
    newest = _newest(case)
    store = case.place.store()
    late = _as_if_far(store, newest)
    path = case.place.root / late.objects[0].key
    if variant == "half of the data":
        case.place.put(path, path.read_bytes()[: chance.randrange(path.stat().st_size)])
    if variant == "a receipt and no data":
        store.create(keys.receipt(late.id, 0), records.dump(late))
        case.place.delete(path)
    resumed_as_expected(case, account, newest)


def _newest(case: Case) -> str:
    return case.place.seen.ids()[0]


def _now() -> str:
    return utc_now().isoformat().replace("+00:00", "Z")


def _expect_led_by(case: Case, account: Account, attempt: int) -> None:
    """Whatever a zombie wrote, the newest is of this attempt, and is resumed."""
    newest = case.place.seen.valid_ids()[0]
    account.expect("a zombie never outranks", newest, kept=order_of(newest)[0] == attempt)
    resumed_as_expected(case, account, newest)


def _look_for_half_commit(case: Case) -> None:
    """Until a checkpoint has its receipt and no manifest; soon, or never mind."""
    for _ in range(2000):
        if case.place.seen.orders() - case.place.seen.committed():
            return


def _as_if_far(store: Store, id_: str) -> Receipt:
    """The data of a checkpoint once more, under an enormous step of the same attempt."""
    (standing,) = commit.read_receipts(store, id_)
    nonce = id_.rpartition("-")[2]
    far = keys.checkpoint_id(standing.attempt, FAR, nonce)
    (item,) = standing.objects
    moved = records.from_json(
        Receipt,
        records.to_json(standing)
        | {
            "id": far,
            "step": FAR,
            "objects": [records.to_json(item) | {"key": keys.data(far, 0, 0)}],
        },
    )
    store.upload(keys.data(far, 0, 0), memoryview(store.read(item.key)), item.digests)
    return moved


class _Remembering(FaultyStore):
    """A store whose lists are those of long ago."""

    def __init__(self, inner: Store, known: Sequence[str]) -> None:
        super().__init__(inner)
        self._known = known

    def list(self, prefix: str, *, after: str = "") -> tuple[str, ...]:
        return tuple(key for key in self._known if key.startswith(prefix) and key > after)


def _committed(store: Store) -> list[str]:
    parsed = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    return [str(found) for found in parsed if found]


@contextlib.contextmanager
def _node_with_bad_memory(case: Case, options: dict[str, Any]) -> Iterator[None]:
    """Adds to the attempt's options what makes its node's reads go wrong."""
    if case.place.kind == VOLUME:
        options["program"] = BAD_MEMORY
        yield
        return

    def fault(asked: Asked) -> Fault | None:
        return Damage() if asked.operation == "GetObject" and "/data/" in asked.target else None

    with s3_proxy(case.site.server) as proxy:
        proxy.fault = fault
        options["through"] = proxy.url
        yield


_DOCUMENTS = tuple(
    f"{hit} {kind}"
    for hit in ("claim", "choice", "post")
    for kind in ("truncate", "flip", "zero", "newer", SWAP, DELETE)
)
_MEMORY = {"several": "plain", "the only one": "one", "may start fresh": "one"}
_LAGS = {"commits": "plain", "ready": "plain", "claim": "plain", "post": "plain",
         "quarantine": "quarantined", "evidence": "quarantined"}  # fmt: skip

PLAYS: dict[str, Play] = {
    "stale claim": Play(stale_claim, ("same attempt", "later attempt")),
    "zombie": Play(zombie, ("anywhere", "amid a commit", "killed as it wakes"), seeds=2),
    "late commit": Play(late_commit, ("with its manifest", "with receipts alone")),
    "late prune": Play(late_prune, ("at once", "expires first", "looks again")),
    "two committers": Play(two_committers, ("both commit", "one rolls forward")),
    "chunk framing": Play(framing, ("from the beginning", "while it trains"), (ROT,)),
    "lagging list": Play(lagging_list, tuple(_LAGS), (ROT,), _LAGS),
    "bad memory": Play(bad_memory, tuple(_MEMORY), recorded=_MEMORY),
    "bad transfer": Play(bad_transfer, places=(ROT,)),
    "own document": Play(own_document, _DOCUMENTS),
    "leftovers": Play(leftovers, ("half of the data", "a receipt and no data", "data alone")),
}
