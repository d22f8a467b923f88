"""What a program makes for itself is gone when its release is."""

from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient, GarbageCollector, calls, fail
from spot_operator.control.client import Json
from spot_operator.control.endpoints import ServiceAddress, publish
from spot_operator.control.errors import Forbidden
from spot_operator.control.lease import LeaderLease
from spot_operator.control.owner import Owner
from spot_operator.control.resource import CLUSTERROLES, ENDPOINTSLICES, LEASES
from spot_operator.control.watch_claim import Claim, WatchClaim

ROLE = "spot.spot-system"
HOME = "kube-system"


async def make_all(client: FakeClient, clock: FakeClock, owner: Owner) -> None:
    """Every object that the operator makes for itself."""
    lease = LeaderLease(
        client,
        clock,
        FakeEntropy(1),
        namespace="default",
        lease="spot",
        name="pod",
        owners=owner.references,
    )
    await lease.acquire()
    claim = Claim("default/spot", frozenset())
    await WatchClaim(client, clock, HOME, claim, 60.0, owner.references).take()
    address = ServiceAddress(
        "default", "reports", "10.0.0.7", 8443, "https", "spot", owner.references()
    )
    await publish(client, address)


def create_role(server: FakeApiServer) -> None:
    server.create(CLUSTERROLES, {"metadata": {"name": ROLE}, "rules": []})


async def known_owner(server: FakeApiServer, client: FakeClient) -> Owner:
    create_role(server)
    owner = Owner(client, ROLE)
    await owner.find()
    return owner


def left(server: FakeApiServer) -> int:
    return len(server.objects(LEASES)) + len(server.objects(ENDPOINTSLICES))


def test_everything_goes_with_the_cluster_role() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        owner = await known_owner(server, client)
        await make_all(client, clock, owner)
        collector = GarbageCollector(server, clock)
        collector.collect()
        assert left(server) == 3
        server.delete(CLUSTERROLES, ROLE)
        collector.collect()
        assert left(server) == 0

    in_fake_time(scenario)


def test_what_stood_there_without_owner_gets_one() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        await make_all(client, clock, Owner(client, ""))
        for lease in server.objects(LEASES, "default"):
            free: Json = {**lease, "spec": {}}
            server.replace(LEASES, free)
        owner = await known_owner(server, client)
        await make_all(client, clock, owner)
        made = [*server.objects(LEASES), *server.objects(ENDPOINTSLICES)]
        assert [one["metadata"]["ownerReferences"] for one in made] == [owner.references()] * 3

    in_fake_time(scenario)


def test_who_knows_no_owner_takes_none_away() -> None:
    """Such as the program that runs before an uninstall."""

    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        owner = await known_owner(server, client)
        await make_all(client, clock, owner)
        for lease in server.objects(LEASES, "default"):
            free: Json = {**lease, "spec": {}}
            server.replace(LEASES, free)
        stranger = Owner(client, "")
        claim = WatchClaim(
            client, clock, HOME, Claim("default/spot", frozenset()), 60.0, stranger.references
        )
        await claim.take()
        await claim.withdraw()
        server.delete(CLUSTERROLES, ROLE)
        GarbageCollector(server, clock).collect()
        assert left(server) == 0

    in_fake_time(scenario)


def test_an_owner_that_cannot_be_read_stops_nothing() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        client.faults.on(calls("get", CLUSTERROLES), before=fail(Forbidden("no")))
        owner = Owner(client, ROLE)
        await owner.find()
        assert owner.references() == []

    in_fake_time(scenario)


def test_nor_does_it_take_a_known_owner_away() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        owner = await known_owner(server, client)
        await make_all(client, clock, owner)
        address = ServiceAddress("default", "reports", "10.0.0.8", 8443, "https", "spot")
        assert await publish(client, address)
        (only,) = server.objects(ENDPOINTSLICES)
        assert only["metadata"]["ownerReferences"] == owner.references()
        assert not await publish(client, address)

    in_fake_time(scenario)


def test_one_that_was_created_again_owns_what_is_made_from_then_on() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        owner = await known_owner(server, client)
        server.delete(CLUSTERROLES, ROLE)
        create_role(server)
        await owner.find()
        await make_all(client, clock, owner)
        GarbageCollector(server, clock).collect()
        assert left(server) == 3

    in_fake_time(scenario)


def test_one_that_cannot_be_read_any_more_stays_the_owner() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        owner = await known_owner(server, client)
        known = owner.references()
        client.faults.on(calls("get", CLUSTERROLES), before=fail(Forbidden("no")))
        await owner.find()
        assert owner.references() == known != []

    in_fake_time(scenario)


def test_one_that_could_not_be_read_at_first_is_given_with_the_next_renewal() -> None:
    """Rights that were granted just now, or an API server that has just begun."""

    async def scenario(clock: FakeClock) -> None:
        server = FakeApiServer(clock, FakeEntropy())
        client = FakeClient(server)
        create_role(server)
        client.faults.on(calls("get", CLUSTERROLES), before=fail(Forbidden("not yet")), times=1)
        owner = Owner(client, ROLE)
        lease = LeaderLease(
            client,
            clock,
            FakeEntropy(1),
            namespace="default",
            lease="spot",
            name="pod",
            owners=owner.references,
        )
        await owner.find()
        await lease.acquire()
        (found,) = server.objects(LEASES)
        assert not found["metadata"].get("ownerReferences")
        await owner.find()
        await lease._renew()
        (found,) = server.objects(LEASES)
        assert found["metadata"]["ownerReferences"] == owner.references() != []

    in_fake_time(scenario)
