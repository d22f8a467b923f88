"""Completeness of a script's checkpoint per format: each file left out, cut short or emptied."""

from __future__ import annotations

import json

import pytest
from kit.filesets import (
    Files,
    distributed,
    found_in,
    hugging_face,
    lightning_file,
    safetensors,
    torch_file,
    within,
)
from spot_sidecar.directory.dcp import DistributedCheckpoint
from spot_sidecar.directory.huggingface import HuggingFace
from spot_sidecar.directory.lightning import Lightning
from spot_sidecar.directory.plain import Plain
from spot_sidecar.directory.sets import Format, step_in

SHARDED: Files = {
    **{name: body for name, body in hugging_face().items() if name != "model.safetensors"},
    "model.safetensors.index.json": json.dumps(
        {
            "weight_map": {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            }
        }
    ).encode(),
    "model-00001-of-00002.safetensors": safetensors(),
    "model-00002-of-00002.safetensors": safetensors(),
}
NOT_NEEDED = {"config.json", "training_args.bin"}
FSDP: Files = {
    **{
        name: body
        for name, body in hugging_face(processes=2).items()
        if name not in {"model.safetensors", "optimizer.pt"}
    },
    **within("pytorch_model_fsdp_0", distributed()),
    **within("optimizer_0", distributed()),
}


def verdicts(layout: Format, files: Files) -> dict[tuple[str, int], str]:
    """(root, step) of each set, and what it lacks."""
    return {(one.root, one.step): lacks for one, lacks in found_in(layout, files)}


def lacking(layout: Format, files: Files, root: str = "checkpoint-20", step: int = 20) -> str:
    """What the one set lacks."""
    return verdicts(layout, files)[root, step]


@pytest.mark.parametrize("folder", ["checkpoint-20", "out/run 1/checkpoint-20"])
@pytest.mark.parametrize(
    ("files", "processes"),
    [(hugging_face(), 1), (hugging_face(processes=3), 3), (hugging_face(processes=3), 1),
     (SHARDED, 1), (FSDP, 2)],
)  # fmt: skip
def test_a_whole_trainer_folder_is_complete(folder: str, files: Files, processes: int) -> None:
    found = verdicts(HuggingFace(processes), within(folder, files))
    assert found == {(folder, 20): ""}


@pytest.mark.parametrize(
    ("files", "name"),
    [
        *((hugging_face(), name) for name in sorted({*hugging_face()} - NOT_NEEDED)),
        *((SHARDED, name) for name in sorted(SHARDED) if name.startswith("model-")),
        *((FSDP, name) for name in sorted(FSDP) if "/" in name),
        (hugging_face(processes=3), "rng_state_0.pth"),
        (hugging_face(processes=3), "rng_state_1.pth"),
    ],
)  # fmt: skip
def test_a_trainer_folder_without_one_of_its_files_names_it(files: Files, name: str) -> None:
    left = {other: body for other, body in files.items() if other != name}
    why = lacking(HuggingFace(), within("checkpoint-20", left))
    assert name in why


def test_the_last_process_may_be_the_one_that_is_missing() -> None:
    left = {
        name: body for name, body in hugging_face(processes=3).items() if "rng_state_2" not in name
    }
    assert lacking(HuggingFace(), within("checkpoint-20", left)) == ""
    assert "rng_state_2.pth" in lacking(HuggingFace(processes=3), within("checkpoint-20", left))
    single = within("checkpoint-20", hugging_face())
    assert "rng_state_0.pth" in lacking(HuggingFace(processes=2), single)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"]
)
@pytest.mark.parametrize("kept", [0, 4, -1])
def test_a_file_that_is_cut_short_is_seen(name: str, kept: int) -> None:
    files = hugging_face()
    files[name] = files[name][:kept]
    assert name in lacking(HuggingFace(), within("checkpoint-20", files))


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("checkpoint-is-incomplete.txt", b"", "still there"),
        ("trainer_state.json", b"", "says step None"),
        ("trainer_state.json", b'{"global_step": 10}', "says step 10"),
        ("trainer_state.json", b'{"global_step"', "says step None"),
        ("trainer_state.json", b"[]", "says step None"),
        ("model.safetensors.index.json", b"{}", "cannot be read"),
        ("model.safetensors", safetensors() + b"x", "its header says"),
        ("model.safetensors", b"\xff" * 64, "within its header"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]", "no readable header"),
    ],
)
def test_a_folder_that_contradicts_itself_is_incomplete(name: str, body: bytes, says: str) -> None:
    assert says in lacking(HuggingFace(), within("checkpoint-20", {**hugging_face(), name: body}))


def test_other_folders_are_no_checkpoints_of_the_trainer() -> None:
    files = {
        **within("checkpoint-20", hugging_face()),
        **within("checkpoint-best", hugging_face()),
        **within("tmp-checkpoint-30", hugging_face(30)),
        "runs/events": b"x",
    }
    assert verdicts(HuggingFace(), files) == {("checkpoint-20", 20): ""}


def test_the_step_of_a_lightning_file_is_the_one_inside() -> None:
    files = {
        "logs/version_0/checkpoints/epoch=1-step=20.ckpt": lightning_file(20),
        "mine.ckpt": lightning_file(30),
        "other.bin": lightning_file(99),
    }
    assert verdicts(Lightning(), files) == {
        ("logs/version_0/checkpoints/epoch=1-step=20.ckpt", 20): "",
        ("mine.ckpt", 30): "",
    }


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_lightning_file_that_is_being_written_is_none(kept: int) -> None:
    assert verdicts(Lightning(), {"a.ckpt": lightning_file(20)[:kept]}) == {}


@pytest.mark.parametrize("body", [torch_file({"epoch": 1}), torch_file({"global_step": -1}), b"PK"])
def test_a_lightning_file_without_a_step_is_none(body: bytes) -> None:
    assert verdicts(Lightning(), {"a.ckpt": body}) == {}


@pytest.mark.parametrize(
    ("steps", "taken"),
    [
        ({"last.ckpt": 20, "a.ckpt": 20}, {"a.ckpt"}),
        ({"last.ckpt": 20, "a.ckpt": 10}, {"a.ckpt", "last.ckpt"}),
        ({"last.ckpt": 20}, {"last.ckpt"}),
        ({"x/last-v1.ckpt": 20, "a.ckpt": 30}, {"a.ckpt"}),
    ],
)
def test_last_ckpt_is_taken_only_where_nothing_else_is_as_new(
    steps: dict[str, int], taken: set[str]
) -> None:
    files = {name: lightning_file(step) for name, step in steps.items()}
    assert {root for root, _ in verdicts(Lightning(), files)} == taken


@pytest.mark.parametrize("folder", ["step-100", "run/step_100", "checkpoints/100"])
def test_a_whole_distributed_checkpoint_is_complete(folder: str) -> None:
    assert verdicts(DistributedCheckpoint(), within(folder, distributed())) == {(folder, 100): ""}


@pytest.mark.parametrize("name", sorted(distributed()))
def test_a_distributed_checkpoint_without_one_of_its_files_names_it(name: str) -> None:
    left = {other: body for other, body in distributed().items() if other != name}
    assert name in lacking(DistributedCheckpoint(), within("step-100", left), "step-100", 100)


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        (".metadata", distributed()[".metadata"][:-1], "cannot be read"),
        (".metadata", b"", "cannot be read"),
        (".metadata", b"N.", "names no file"),
        ("__1_0.distcp", b"", "is empty"),
    ],
)
def test_a_distributed_checkpoint_that_is_cut_short_is_seen(
    name: str, body: bytes, says: str
) -> None:
    files = within("step-100", {**distributed(), name: body})
    assert says in lacking(DistributedCheckpoint(), files, "step-100", 100)


def test_nothing_is_unpickled() -> None:
    evil = b"cos\nsystem\n(S'touch /tmp/never'\ntR." + distributed()[".metadata"]
    files = within("step-100", {**distributed(), ".metadata": evil})
    assert "names no file" in lacking(DistributedCheckpoint(), files, "step-100", 100)


def test_plain_entries_are_those_with_a_number() -> None:
    files = {
        "model_10.npz": b"a",
        "model_20.npz.tmp": b"b",
        ".model_30.npz": b"c",
        "state-40/w.bin": b"d",
        "state-40/deep/m.bin": b"",
        "log.txt": b"e",
    }
    found = {one.root: one for one, lacks in found_in(Plain(), files) if not lacks}
    assert {root: one.step for root, one in found.items()} == {"model_10.npz": 10, "state-40": 40}
    assert [file.path for file in found["state-40"].files] == [
        "state-40/deep/m.bin",
        "state-40/w.bin",
    ]


def test_with_a_marker_only_marked_folders_are_complete() -> None:
    files = {"s-1/w": b"x", "s-1/DONE": b"", "s-2/w": b"x", "s-3": b"x"}
    assert verdicts(Plain("DONE"), files) == {
        ("s-1", 1): "",
        ("s-2", 2): "s-2/DONE is missing",
        ("s-3", 3): "s-3/DONE is missing",
    }


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("model_10.npz", 10),
        ("model.h5", None),
        ("w-7.h5", 7),
        ("epoch_3_step_100", 100),
        ("step=100-loss=0.25", 100),
        ("iter5000.tar.gz", 5000),
        ("000123", 123),
        ("checkpoint", None),
        ("n" + "9" * 13, None),
    ],
)
def test_the_step_in_a_name(name: str, step: int | None) -> None:
    assert step_in(name) == step
