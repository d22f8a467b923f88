"""Modules, optimizers, schedulers, scalers and averages, each moved into a freshly made one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from kit.moving import moved, of_extras, of_objects, snapshot_of
from spot_training.checkpoint import layout
from spot_training.state import WrongState
from torch import nn
from torch.optim import lr_scheduler


class Tied(nn.Module):
    """Embedding and head are one parameter."""

    def __init__(self, *, tie: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 5, bias=False)
        if tie:
            self.head.weight = self.embed.weight

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.embed(x)))


def trained(model: Any, optimizer: Any, steps: int = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.arange(5)).float().pow(2).mean().backward()
        optimizer.step()


def expect_equal_modules(one: Any, other: Any) -> None:
    held, expected = one.state_dict(), other.state_dict()
    assert list(held) == list(expected)
    for name in held:
        assert held[name].dtype == expected[name].dtype
        assert torch.isfinite(expected[name]).all(), name  # no comparison of what has diverged
        assert torch.equal(held[name], expected[name]), name


def test_a_tied_module_is_stored_once_and_stays_tied_in_place() -> None:
    source, target = Tied(), Tied()
    trained(source, torch.optim.SGD(source.parameters(), lr=0.1))
    weight = target.embed.weight
    names = set(layout.parse(snapshot_of(of_objects(model=source))).specs())
    assert "model/embed.weight" in names
    assert "model/head.weight" not in names
    assert moved(of_objects(model=source), of_objects(model=target)) == []
    assert target.head.weight is target.embed.weight is weight
    expect_equal_modules(target, source)


@pytest.mark.parametrize(("there", "here", "said"), [
    (Tied(), Tied(tie=False), "are one tensor only in the checkpoint"),
    (Tied(tie=False), Tied(), "are one tensor only in the script"),
    (nn.Linear(2, 3), nn.Linear(2, 4), r"bias is F32\[3\] there and F32\[4\] here"),
    (nn.Linear(2, 3), nn.Linear(2, 3).bfloat16(), r"is F32\[3\] there and BF16\[3\] here"),
    (nn.Linear(2, 3), nn.Linear(2, 3, bias=False), "only the checkpoint has bias"),
])  # fmt: skip
def test_another_module_is_refused_before_anything_changes(
    there: Any, here: Any, said: str
) -> None:
    before = copy.deepcopy(here.state_dict())
    with pytest.raises(WrongState, match=said):
        moved(of_objects(model=there), of_objects(model=here))
    for name, value in here.state_dict().items():
        assert torch.equal(value, before[name])


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(2, 2)  # a name of its own, no wrapper's
        self.last = nn.Linear(2, 1)


WRAPPED = {
    "bare": lambda model: model,
    "data parallel": nn.DataParallel,
    "compiled": torch.compile,
    "both": lambda model: torch.compile(nn.DataParallel(model)),
}


@pytest.mark.parametrize("there", WRAPPED)
@pytest.mark.parametrize("here", WRAPPED)
def test_wrappers_leave_no_trace(there: str, here: str) -> None:
    source, target = Inner(), Inner()
    wrapped = WRAPPED[there](source)
    names = set(layout.parse(snapshot_of(of_objects(model=wrapped))).specs())
    assert "model/module.weight" in names
    assert "model/last.bias" in names
    assert moved(of_objects(model=wrapped), of_objects(model=WRAPPED[here](target))) == []
    expect_equal_modules(target, source)


class PreciseSgd(torch.optim.Optimizer):
    """Keeps float32 moments of bfloat16 parameters, in a list beside a tensor."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                moment = state.setdefault("moment", torch.zeros_like(p, dtype=torch.float32))
                moment.mul_(0.9).add_(p.grad.float(), alpha=1 / 3)
                state["history"] = [moment.clone()]
                p.add_(moment, alpha=-group["lr"])


def test_moments_keep_their_dtype() -> None:
    source, target = Tied().bfloat16(), Tied().bfloat16()
    one, other = PreciseSgd(source.parameters()), PreciseSgd(target.parameters())
    trained(source, one)
    assert moved(
        of_objects(model=source, optimizer=one), of_objects(model=target, optimizer=other)
    ) == []  # fmt: skip
    for p in target.parameters():
        assert p.dtype == torch.bfloat16
        assert other.state[p]["moment"].dtype == torch.float32
        assert other.state[p]["history"][0].dtype == torch.float32
    trained(source, one)
    trained(target, other)
    expect_equal_modules(target, source)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.1)),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True),
    "Adafactor": lambda p: torch.optim.Adafactor(p, lr=0.1),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.1),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_go_on_with_the_same_bits(name: str) -> None:
    source, target = Tied(), Tied()
    one = OPTIMIZERS[name](source.parameters())
    other = OPTIMIZERS[name](target.parameters())
    trained(source, one)
    assert moved(
        of_objects(model=source, optimizer=one), of_objects(model=target, optimizer=other)
    ) == []  # fmt: skip
    trained(source, one)
    trained(target, other)
    expect_equal_modules(target, source)


def test_other_parameter_groups_are_refused() -> None:
    source = torch.optim.SGD(Tied().parameters(), lr=0.1)
    target = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(WrongState, match=r"optimizer: its groups have \[3\] parameters there"):
        moved(of_objects(optimizer=source), of_objects(optimizer=target))


SCHEDULERS = {
    "MultiStep": lambda o: lr_scheduler.MultiStepLR(o, [2, 4, 4]),
    "OneCycle": lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=30),
    "Cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.5, cycle_momentum=False),
    "WarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "Lambda": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "Sequential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)], [3]
    ),
    "Plateau": lr_scheduler.ReduceLROnPlateau,
}


def tick(scheduler: Any, optimizer: Any) -> float:
    optimizer.step()
    plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
    scheduler.step(1.0) if plateau else scheduler.step()
    return float(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_schedulers_go_on_with_the_same_rates(name: str) -> None:
    def made() -> tuple[Any, Any]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1, momentum=0.9)
        return SCHEDULERS[name](optimizer), optimizer

    (one, first), (other, second) = made(), made()
    for _ in range(3):
        tick(one, first)
    assert moved(
        of_objects(optimizer=first, scheduler=one), of_objects(optimizer=second, scheduler=other)
    ) == []  # fmt: skip
    assert type(other.state_dict()) is type(one.state_dict())
    assert [tick(other, second) for _ in range(20)] == [tick(one, first) for _ in range(20)]


def test_extras_may_be_averages_scalers_generators_and_tensors() -> None:
    def made(value: float) -> dict[str, Any]:
        average = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2))
        scaler = torch.amp.GradScaler("cpu", init_scale=value)
        return {"ema": average, "scaler": scaler, "draws": torch.Generator(),
                "plain": torch.full((2,), value)}  # fmt: skip

    source, target = made(8.0), made(2.0)
    source["ema"].update_parameters(nn.Linear(2, 2))
    source["draws"].manual_seed(9)
    held = dict(target)
    assert moved(of_extras(source), of_extras(target)) == []
    assert all(target[name] is held[name] for name in target)
    expect_equal_modules(target["ema"], source["ema"])
    assert target["scaler"].get_scale() == 8.0
    assert torch.equal(torch.rand(3, generator=target["draws"]),
                       torch.rand(3, generator=source["draws"]))  # fmt: skip
    assert target["plain"].tolist() == [8, 8]
