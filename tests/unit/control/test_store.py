"""The cache's shelves."""

import pytest
from spot_operator.control.client import Json
from spot_operator.control.store import Store


def an_item(name: str, uid: str, *, node: str = "") -> Json:
    return {"metadata": {"name": name, "namespace": "ns", "uid": uid}, "node": node}


def a_store() -> Store:
    return Store({"node": lambda item: [item["node"]] if item["node"] else []})


def test_an_object_is_found_by_uid_name_and_index() -> None:
    store, item = a_store(), an_item("a", "1", node="n1")
    assert store.put(item) is None
    assert store.get("1") is item
    assert store.named("a", "ns") is item
    assert store.by_index("node", "n1") == [item]
    assert store.keys("node") == ["n1"]
    assert len(store) == 1


def test_a_newer_state_leaves_no_trace_of_the_older() -> None:
    store, old, new = a_store(), an_item("a", "1", node="n1"), an_item("a", "1", node="n2")
    store.put(old)
    assert store.put(new) is old
    assert store.by_index("node", "n1") == []
    assert store.by_index("node", "n2") == [new]
    assert store.keys("node") == ["n2"]


def test_a_removed_object_is_found_no_more() -> None:
    store, item = a_store(), an_item("a", "1", node="n1")
    store.put(item)
    assert store.remove("1") is item
    assert store.remove("1") is None
    assert (store.get("1"), store.named("a", "ns"), store.keys("node")) == (None, None, [])
    assert list(store) == []


def test_the_name_of_a_recreated_object_survives_the_end_of_the_first() -> None:
    store, first, second = a_store(), an_item("a", "1"), an_item("a", "2")
    store.put(first)
    store.put(second)
    store.remove("1")
    assert store.named("a", "ns") is second


def test_an_unknown_index_is_an_error() -> None:
    with pytest.raises(KeyError):
        a_store().by_index("colour", "red")


def test_the_store_may_change_while_it_is_read() -> None:
    store = a_store()
    for number in range(3):
        store.put(an_item(f"a{number}", str(number)))
    for item in store:
        store.remove(item["metadata"]["uid"])
    assert len(store) == 0
