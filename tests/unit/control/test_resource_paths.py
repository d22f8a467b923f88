"""URLs."""

import pytest
from spot_operator.control.resource import LEASES, NODES, PODS, Resource


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (PODS, (None,), "/api/v1/pods"),
        (PODS, ("ns",), "/api/v1/namespaces/ns/pods"),
        (PODS, ("ns", "p"), "/api/v1/namespaces/ns/pods/p"),
        (PODS, ("ns", "p", "status"), "/api/v1/namespaces/ns/pods/p/status"),
        (NODES, (None, "n"), "/api/v1/nodes/n"),
        (LEASES, ("ns", "l"), "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l"),
        (Resource("a.b", "v2", "cs", "C"), ("n/s",), "/apis/a.b/v2/namespaces/n%2Fs/cs"),
    ],
)
def test_paths(resource: Resource, arguments: tuple[str, ...], path: str) -> None:
    assert resource.path(*arguments) == path


@pytest.mark.parametrize(
    ("resource", "arguments", "remedy"),
    [(NODES, ("ns",), "leave out"), (PODS, (None, "p"), "which namespace")],
)
def test_a_path_that_cannot_exist_says_what_is_wrong(
    resource: Resource, arguments: tuple[str, ...], remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        resource.path(*arguments)
