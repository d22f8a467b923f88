"""Every command about checkpoints, on a directory; what is printed is compared as a whole."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit.checkpoints import (
    AT,
    a_payload,
    a_receipt,
    an_id,
    commit_checkpoint,
    store_share,
)  # fmt: skip
from kit.commands import Shell, flip
from safetensors.numpy import load_file
from spot_training.checkpoint import keys, layout, records
from spot_training.checkpoint.commit import commit
from spot_training.checkpoint.manifest import (
    Choice,
    Claim,
    Expired,
    Marker,
    Pin,
    Post,
    Tombstone,
    Verified,
)
from spot_training.checkpoint.selection import Facts, Resume, select
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.checkpoint.verify import look, read_evidence, verdict, write_post
from spot_training.cli import app
from spot_training.cli.checkpoints.ls import lines
from spot_training.cli.states import rows
from spot_training.cli.survey import survey
from spot_training.times import parse_rfc3339


def bury(store: DirectoryStore, checkpoint: str) -> None:
    tombstone = Tombstone(
        id=checkpoint, kind="content", evidence=("bytes differ",), nodes=("node-1",), attempt=2,
        at=AT,
    )  # fmt: skip
    store.create(keys.tombstone(checkpoint), records.dump(tombstone))


def post(store: DirectoryStore, checkpoint: str, verdict: str, node: str) -> None:
    kind = "content" if verdict == "bad" else ""
    word = Post(attempt=2, k=0, rank=0, id=checkpoint, verdict=verdict, node=node, at=AT, kind=kind)
    write_post(store, word)


def write(store: DirectoryStore, key: str, record: object) -> None:
    store.create(key, records.dump(record))


def data_file(store: DirectoryStore, checkpoint: str) -> Path:
    return store.root / keys.data(checkpoint, 0, 0)


# -- ls ----------------------------------------------------------------------------------------


def every_state(store: DirectoryStore) -> None:
    for step in range(1, 8):
        commit_checkpoint(store, step=step)
    store_share(store, a_receipt(step=8))
    (store.root / keys.commit(an_id(1, 1))).write_bytes(b"{}")
    bury(store, an_id(1, 2))
    write(store, keys.expired(an_id(1, 3)), Expired(id=an_id(1, 3), attempt=1, why="old", at=AT))
    write(store, keys.pin(an_id(1, 4)), Pin(id=an_id(1, 4), by="me", why="paper", at=AT))
    write(store, keys.verified(an_id(1, 5)), Verified(id=an_id(1, 5), level="V2", at=AT))
    post(store, an_id(1, 6), "verified", "node-1")
    write(store, keys.marker(1), Marker(attempt=1, id=an_id(1, 7), step=7, at=AT))


def test_ls_shows_every_state_newest_first(store: DirectoryStore) -> None:
    every_state(store)
    listed = rows(survey(store), suspects=[an_id(1, 5)])
    assert lines(listed, now=parse_rfc3339(AT) + timedelta(minutes=3), wide=False) == [
        "CHECKPOINT  STATE             SAMPLES  AGE      SIZE  REASON    PARENT",
        "a1-s8       incomplete              -    -         -  -         -",
        "a1-s7       committed,result      224   3m  20.2 KiB  periodic  -",
        "a1-s6       verified              192   3m  20.2 KiB  periodic  -",
        "a1-s5       suspect               160   3m  20.2 KiB  periodic  -",
        "a1-s4       committed,pinned      128   3m  20.2 KiB  periodic  -",
        "a1-s3       expired                96   3m  20.2 KiB  periodic  -",
        "a1-s2       quarantined            64   3m  20.2 KiB  periodic  -",
        "a1-s1       damaged                 -    -         -  -         -",
    ]


def test_ls_fits_a_terminal_of_80_columns_and_wide_one_of_200(
    store: DirectoryStore, shell: Shell
) -> None:
    every_state(store)
    narrow = shell("checkpoints", "ls", store.root)
    wide = shell("checkpoints", "ls", "-o", "wide", store.root)
    assert max(map(len, narrow.lines)) <= 80
    assert max(map(len, wide.lines)) <= 200
    assert wide.lines[2].split()[:6] == [
        an_id(1, 7), "committed,result", "1", "7", "224", "0",
    ]  # fmt: skip


def test_ls_as_json_has_stable_names(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store, step=7)
    (listed,) = json.loads(shell("checkpoints", "ls", "-o", "json", store.root).out)
    assert listed == {
        "id": an_id(1, 7), "state": "committed", "pinned": False, "result": False, "attempt": 1,
        "step": 7, "samples": 224, "epoch": 0, "committedAt": AT, "bytes": 20_736,
        "reason": "periodic", "parent": None, "ranks": 1, "kept": "newest",
    }  # fmt: skip


def test_an_empty_lineage_says_so(store: DirectoryStore, shell: Shell) -> None:
    said = shell("checkpoints", "ls", store.root)
    assert (said.code, said.out) == (0, f"{store.root} has no checkpoint yet\n")


def test_above_lineages_they_are_listed_to_name_one(
    store: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    said = shell("checkpoints", "ls", tmp_path)
    assert said.code == 2
    assert said.err.endswith(f"name one of them:\n  {store.root}\n")


@pytest.mark.parametrize(
    ("where", "code", "remedy"),
    [
        ("/nowhere/at/all", 1, "give the one that SPOT_DIR named"),
        ("gs://bucket/x", 2, "s3:// buckets"),
        ("s3://", 2, "expected s3://bucket/prefix"),
    ],
)
def test_a_place_that_is_none_is_refused(shell: Shell, where: str, code: int, remedy: str) -> None:
    said = shell("checkpoints", "ls", where)
    assert (said.code, said.out) == (code, "")
    assert remedy in said.err


def test_a_directory_without_a_lineage_says_what_one_looks_like(
    shell: Shell, tmp_path: Path
) -> None:
    said = shell("checkpoints", "ls", tmp_path)
    assert said.code == 1
    assert "holds no lineage" in said.err


# -- show --------------------------------------------------------------------------------------


def test_show_tells_where_it_comes_from_and_its_tensors(
    store: DirectoryStore, shell: Shell
) -> None:
    arrays = {"arrays/w": np.zeros((2, 3), "<f4"), "arrays/b": np.zeros((), "<i8")}
    payload = a_payload(arrays)
    receipt = store_share(store, a_receipt(payload, attempt=2, parent=an_id(1, 4)), payload)
    commit(store, [receipt], committed_at=AT)
    said = shell("checkpoints", "show", store.root, "newest")
    shown = said.lines
    assert said.code == 0
    assert shown[0] == f"checkpoint {an_id(2, 10)}"
    assert f"  attempt     2, resumed from {an_id(1, 4)}" in shown
    assert "  trained     10 steps, 320 samples, epoch 0" in shown
    digests = receipt.objects[0].tensors
    assert shown[-4:] == [
        "TENSOR    DTYPE  SHAPE  BYTES  DIGEST",
        f"arrays/b  I64    []         8  {digests['arrays/b']}",
        f"arrays/w  F32    [2,3]     24  {digests['arrays/w']}",
        "2 tensors and 4,096 B of typed state",
    ]


@pytest.mark.parametrize(("told", "line"), [
    (None, ""),
    ({"exact": True}, "  exact       yes"),
    ({"exact": False, "why": "workers persist"}, "  exact       not sure: workers persist"),
])  # fmt: skip
def test_show_tells_whether_going_on_is_exact(
    store: DirectoryStore, shell: Shell, told: Any, line: str
) -> None:
    payload = a_payload()
    receipt = store_share(store, replace(a_receipt(payload), dataset=told), payload)
    commit(store, [receipt], committed_at=AT)
    shown = shell("checkpoints", "show", store.root, "newest").lines
    assert [found for found in shown if found.startswith("  exact")] == [line] * bool(line)


def test_a_checkpoint_that_continues_another_jobs_says_whose(
    store: DirectoryStore, shell: Shell
) -> None:
    lineage = "team/first/1b4e28ba-2fa1"
    receipt = store_share(store, a_receipt(parent=an_id(7, 400), parent_lineage=lineage))
    commit(store, [receipt], committed_at=AT)
    assert shell("checkpoints", "ls", store.root).lines[1].endswith("  first:a7-s400")
    wide = shell("checkpoints", "ls", "-o", "wide", store.root).lines[1]
    assert wide.endswith(f"  {lineage}:{an_id(7, 400)}")
    shown = shell("checkpoints", "show", store.root, "newest").lines
    assert f"  attempt     1, resumed from {an_id(7, 400)} of {lineage}" in shown
    (told,) = json.loads(shell("checkpoints", "ls", "-o", "json", store.root).out)
    assert (told["parent"], told["parentLineage"]) == (an_id(7, 400), lineage)


def test_show_as_json_names_every_tensor(store: DirectoryStore, shell: Shell) -> None:
    manifest = commit_checkpoint(store)
    told = json.loads(shell("checkpoints", "show", "-o", "json", store.root, "newest").out)
    tensor = told["objects"][0]["tensors"]["arrays/w"]
    assert (tensor["dtype"], tensor["shape"], tensor["bytes"]) == ("F32", [64, 64], 16384)
    assert tensor["digest"] == manifest.objects[0].tensors["arrays/w"]
    assert told["manifest"]["id"] == manifest.id


def test_show_of_a_quarantined_one_tells_the_evidence(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store)
    bury(store, an_id())
    said = shell("checkpoints", "show", store.root, "a1-s10")
    assert "  evidence    bytes differ (by attempt 2 on node-1)" in said.lines


def test_show_of_an_unreadable_one_tells_why(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store)
    (store.root / keys.commit(an_id())).write_bytes(b"nothing")
    said = shell("checkpoints", "show", store.root, "a1-s10")
    assert said.code == 1
    assert "  problem  the document is not JSON" in said.out


# -- verify ------------------------------------------------------------------------------------


def test_verify_reads_every_byte(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store, step=1)
    commit_checkpoint(store, step=2)
    said = shell("checkpoints", "verify", store.root, "--all")
    assert said.code == 0
    assert [re.sub(r"in \d+\.\d s", "in T", line) for line in said.lines] == [
        "a1-s2  V0 ok  V1 ok  V2 -  V3 ok  20.2 KiB in T",
        "a1-s1  V0 ok  V1 ok  V2 -  V3 ok  20.2 KiB in T",
        "2 of 2 verified",
    ]


def test_verify_names_the_tensor_that_is_damaged(store: DirectoryStore, shell: Shell) -> None:
    manifest = commit_checkpoint(store)
    path = data_file(store, manifest.id)
    slots = {slot.name: slot for slot in layout.parse(memoryview(path.read_bytes())).slots}
    flip(path, slots["arrays/w"].start + 100)
    said = shell("checkpoints", "verify", store.root)
    assert said.code == 1
    assert said.lines[0] == "a1-s10  V0 ok  V1 ok  V2 -  V3 bad"
    assert said.lines[2] == (
        f"    tensor arrays/w, bytes {slots['arrays/w'].start} to {slots['arrays/w'].end}"
    )
    assert not store.list(keys.TOMBSTONES)


@pytest.mark.parametrize(
    ("harm", "level", "detail"),
    [
        (lambda path: flip(path, 20), "V3 bad", "the header"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "V1 bad", "manifest says 20736"),
        (lambda path: path.unlink(), "V1 bad", "does not exist"),
    ],
)
def test_verify_says_what_is_wrong(
    store: DirectoryStore, shell: Shell, harm: object, level: str, detail: str
) -> None:
    manifest = commit_checkpoint(store)
    assert callable(harm)
    harm(data_file(store, manifest.id))
    said = shell("checkpoints", "verify", store.root)
    assert said.code == 1
    assert level in said.lines[0]
    assert detail in said.out


def test_verify_of_a_damaged_manifest_is_bad(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store)
    (store.root / keys.commit(an_id())).write_bytes(b"{}")
    said = shell("checkpoints", "verify", store.root, "a1-s10")
    assert (said.code, said.lines[0]) == (1, "a1-s10  V0 bad")


def test_a_newer_schema_is_not_bad_but_unseen(store: DirectoryStore, shell: Shell) -> None:
    manifest = commit_checkpoint(store)
    newer = records.to_json(manifest) | {"schema": 99}
    (store.root / keys.commit(manifest.id)).write_bytes(records.canonical(newer))
    said = shell("checkpoints", "verify", store.root, "a1-s10")
    assert (said.code, said.lines[0]) == (3, "a1-s10  V0 unknown")
    assert "upgrade spot-training" in said.out
    assert "unsupported" in shell("checkpoints", "ls", store.root).out
    assert shell("checkpoints", "verify", store.root, "newest").code == 3


def test_a_lower_level_reads_less(store: DirectoryStore, shell: Shell) -> None:
    manifest = commit_checkpoint(store)
    flip(data_file(store, manifest.id), 5000)
    said = shell("checkpoints", "verify", store.root, "--level", "V1")
    assert (said.code, said.out) == (0, "a1-s10  V0 ok  V1 ok\n")


def test_quarantine_needs_another_that_verifies_here(store: DirectoryStore, shell: Shell) -> None:
    first = commit_checkpoint(store, step=1)
    flip(data_file(store, first.id), 9000)
    alone = shell("checkpoints", "verify", store.root, "a1-s1", "--quarantine")
    assert alone.code == 1
    assert "a1-s1 is not quarantined: no other checkpoint verifies" in alone.out
    assert not store.list(keys.TOMBSTONES)
    commit_checkpoint(store, step=2)
    said = shell("checkpoints", "verify", store.root, "a1-s1", "--quarantine")
    assert said.code == 1
    assert said.lines[-1] == "quarantined a1-s1"
    assert store.list(keys.TOMBSTONES) == (keys.tombstone(first.id),)


# -- pin ---------------------------------------------------------------------------------------


def test_a_pin_says_who_and_why_and_goes_again(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store, step=1)
    assert shell("checkpoints", "pin", store.root, "newest", "--why", "paper").code == 0
    standing = records.load(Pin, store.read(keys.pin(an_id(1, 1))))
    assert (standing.id, standing.why) == (an_id(1, 1), "paper")
    assert "@" in standing.by
    assert "committed,pinned" in shell("checkpoints", "ls", store.root).out
    assert shell("checkpoints", "unpin", store.root, "a1-s1").code == 0
    assert not store.list(keys.PINS)


def test_a_pin_saves_what_was_given_up(store: DirectoryStore, shell: Shell) -> None:
    for step in range(1, 6):
        commit_checkpoint(store, step=step)
        write(store, keys.verified(an_id(1, step)), Verified(id=an_id(1, step), level="V2", at=AT))
    word = Expired(id=an_id(1, 1), attempt=1, why="newer ones are verified", at=AT)
    write(store, keys.expired(an_id(1, 1)), word)
    shown = shell("checkpoints", "show", store.root, "a1-s1").out
    assert f"newer ones are verified (by attempt 1 at {AT}); deleted an hour after that" in shown
    assert "kept" not in shown
    assert shell("checkpoints", "pin", store.root, "a1-s1").code == 0
    assert store.list(keys.EXPIRED) == ()
    shown = shell("checkpoints", "show", store.root, "a1-s1").out
    assert "because it is: pinned" in shown
    assert "because it is: verified" in shell("checkpoints", "show", store.root, "a1-s3").out


def test_what_has_no_manifest_cannot_be_pinned(store: DirectoryStore, shell: Shell) -> None:
    store_share(store, a_receipt())
    said = shell("checkpoints", "pin", store.root, "a1-s10")
    assert said.code == 1
    assert "cannot be kept: it has no manifest" in said.err


# -- rm ----------------------------------------------------------------------------------------


def test_rm_deletes_the_whole_checkpoint_once_told_yes(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store, step=1)
    commit_checkpoint(store, step=2)
    asked = shell("checkpoints", "rm", store.root, "a1-s1")
    assert (asked.code, asked.lines[-1]) == (
        2, "nothing is deleted yet: give --yes to delete for good",
    )  # fmt: skip
    assert len(store.list(keys.COMMITS)) == 2
    assert shell("checkpoints", "rm", store.root, "a1-s1", "--yes").code == 0
    assert [key for key in store.list("") if an_id(1, 1) in key] == []
    assert len([key for key in store.list("") if an_id(1, 2) in key]) == 3


def test_rm_refuses_all_if_it_refuses_one(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store, step=1)
    commit_checkpoint(store, step=2)
    said = shell("checkpoints", "rm", store.root, "a1-s1", "newest", "--yes")
    assert said.code == 1
    assert "a1-s2: it is the newest valid one" in said.err
    assert len(store.list(keys.COMMITS)) == 2


def test_rm_refuses_what_a_running_attempt_resumed_from(
    store: DirectoryStore, shell: Shell
) -> None:
    commit_checkpoint(store, step=1)
    commit_checkpoint(store, step=2)
    claim = Claim(attempt=2, rank=0, pod_uid="p", nonce="0123abcd", node="n", at=AT)
    write(store, keys.claim(2, 0), claim)
    write(store, keys.choice(2, 0), Choice(attempt=2, k=0, id=an_id(1, 1), at=AT))
    said = shell("checkpoints", "rm", store.root, "a1-s1", "--yes")
    assert said.code == 1
    assert "the attempt that runs now resumed from it" in said.err


# -- unquarantine ------------------------------------------------------------------------------


def chosen(store: DirectoryStore, node: str) -> str:
    facts = look(store, Facts(node=node, commits=(), evidence=read_evidence(store)))
    decision = select(facts, lambda id_: verdict(store, id_, node=node))
    assert isinstance(decision, Resume), decision
    return decision.id


def test_what_verifies_again_may_be_chosen_again(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store, step=1)
    commit_checkpoint(store, step=2)
    post(store, an_id(1, 2), "bad", "node-1")
    bury(store, an_id(1, 2))
    assert chosen(store, "node-1") == an_id(1, 1)
    said = shell("checkpoints", "unquarantine", store.root, "a1-s2")
    assert (said.code, said.lines[-1]) == (0, "a1-s2 may be chosen again")
    assert chosen(store, "node-1") == an_id(1, 2)


def test_what_is_still_bad_stays_unless_forced(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store)
    bury(store, an_id())
    flip(data_file(store, an_id()), 9000)
    said = shell("checkpoints", "unquarantine", store.root, "a1-s10")
    assert said.code == 1
    assert "stays in quarantine: it does not verify" in said.err
    assert store.list(keys.TOMBSTONES)
    assert shell("checkpoints", "unquarantine", store.root, "a1-s10", "--force").code == 0
    assert not store.list(keys.TOMBSTONES)


def test_only_what_is_in_quarantine_leaves_it(store: DirectoryStore, shell: Shell) -> None:
    commit_checkpoint(store)
    said = shell("checkpoints", "unquarantine", store.root, "newest")
    assert said.code == 1
    assert "not in quarantine" in said.err


# -- export ------------------------------------------------------------------------------------


def test_export_is_plain_safetensors_and_json(
    store: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    arrays = {
        "model/w": np.arange(6, dtype="<f4").reshape(2, 3),
        "model/b": np.array([True, False]),
        "optimizer/m": np.arange(3, dtype="<f8"),
    }
    payload = a_payload(arrays, {"objects": {"scheduler": 3}, "extras": {}})
    commit(store, [store_share(store, a_receipt(payload), payload)], committed_at=AT)
    target = tmp_path / "out" / "model.safetensors"
    said = shell(
        "checkpoints", "export", store.root, "newest", "--to", target, "--prefix", "model/"
    )
    assert said.code == 0
    read = load_file(target)
    assert set(read) == {"w", "b"}
    np.testing.assert_array_equal(read["w"], arrays["model/w"])
    np.testing.assert_array_equal(read["b"], arrays["model/b"])
    told = json.loads(target.with_suffix(".json").read_text())
    assert (told["step"], told["state"]["objects"]) == (10, {"scheduler": 3})
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "model.json", "model.safetensors",
    ]  # fmt: skip


def test_export_of_a_gang_is_one_file_for_each_process(
    store: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    commit_checkpoint(store, ranks=2)
    refused = shell("checkpoints", "export", store.root, "newest", "--to", "x.safetensors")
    assert refused.code == 1
    assert "give a directory" in refused.err
    assert shell("checkpoints", "export", store.root, "newest", "--to", tmp_path / "d").code == 0
    names = sorted(path.name for path in (tmp_path / "d").glob("*.safetensors"))
    assert names == ["a1-s10-r0-p0.safetensors", "a1-s10-r1-p0.safetensors"]
    for name in names:
        assert set(load_file(tmp_path / "d" / name)) == {"arrays/w"}


def test_nothing_is_exported_of_a_damaged_checkpoint(
    store: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    manifest = commit_checkpoint(store)
    flip(data_file(store, manifest.id), 9000)
    said = shell("checkpoints", "export", store.root, "newest", "--to", tmp_path / "out")
    assert said.code == 1
    assert "do not match their digest" in said.err
    assert not (tmp_path / "out").exists()


def test_export_does_not_overwrite_unasked(
    store: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    commit_checkpoint(store)
    target = tmp_path / "x.safetensors"
    target.write_text("mine")
    said = shell("checkpoints", "export", store.root, "newest", "--to", target)
    assert said.code == 1
    assert target.read_text() == "mine"
    assert shell(
        "checkpoints", "export", store.root, "newest", "--to", target, "--overwrite"
    ).code == 0  # fmt: skip
    assert set(load_file(target)) == {"arrays/w"}


def test_a_prefix_that_names_nothing_is_refused(
    store: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    commit_checkpoint(store)
    said = shell(
        "checkpoints", "export", store.root, "newest", "--to", tmp_path, "--prefix", "model"
    )
    assert said.code == 1
    assert "checkpoints show" in said.err


# -- help --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["checkpoints"],
        *(["checkpoints", command.name] for command in app.CHECKPOINTS),
        *([command.name] for command in app.TRUST),
    ],
)
def test_every_command_has_a_page_with_its_exit_codes(
    shell: Shell, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = shell(*command, "--help")
    assert said.code == 0
    assert "exit codes:" in said.out
    assert max(map(len, said.lines)) <= 80
