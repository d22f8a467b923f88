"""Modules, optimizers, schedulers, scalers and averages, each moved into a freshly made one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import spot_training as spot
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


def expect_to_go_on(made: Callable[[], tuple[Any, Any]], train: Any = trained) -> None:
    """A model and its optimizer train on with the same bits in a pair that was made anew."""
    (source, one), (target, other) = made(), made()
    train(source, one)
    assert moved(
        of_objects(model=source, optimizer=one), of_objects(model=target, optimizer=other)
    ) == []  # fmt: skip
    train(source, one)
    train(target, other)
    expect_equal_modules(target, source)


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
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.1),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=0.1),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "foreach": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=True),
    "fused, with maxima": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True, fused=True),
    "several groups": lambda p: torch.optim.AdamW(
        [{"params": one, "lr": 0.1 / (n + 1), "betas": (0.8, 0.9)} for n, one in enumerate(p)]
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_go_on_with_the_same_bits(name: str) -> None:
    def made() -> tuple[Any, Any]:
        model = Tied()
        return model, OPTIMIZERS[name](model.parameters())

    expect_to_go_on(made)


def test_a_search_along_lines_goes_on() -> None:
    """Its state is nested: lists of earlier directions beside numbers."""

    def made() -> tuple[Any, Any]:
        torch.manual_seed(2)
        model = nn.Linear(4, 2)
        return model, torch.optim.LBFGS(
            model.parameters(), lr=0.1, max_iter=3, line_search_fn="strong_wolfe"
        )

    def searched(model: Any, optimizer: Any) -> None:
        def loss() -> Any:
            optimizer.zero_grad()
            found = model(torch.arange(8.0).view(2, 4)).pow(2).mean()
            found.backward()
            return found

        optimizer.step(loss)

    expect_to_go_on(made, searched)


def test_a_scaler_goes_on_with_its_scale_and_its_count() -> None:
    def made() -> tuple[Any, Any, Any]:
        torch.manual_seed(2)
        model = nn.Linear(4, 2)
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=3)
        return model, torch.optim.SGD(model.parameters(), lr=0.01), scaler

    def scaled(model: Any, optimizer: Any, scaler: Any, factors: list[float]) -> None:
        for factor in factors:
            optimizer.zero_grad()
            loss = (model(torch.ones(2, 4)) * factor).pow(2).mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    (source, one, first), (target, other, second) = made(), made()
    scaled(source, one, first, [1, 1, 1, 1e30, 1])  # grows, then halves at an overflow
    assert first.get_scale() == 64.0
    assert moved(
        of_objects(model=source, optimizer=one, scaler=first),
        of_objects(model=target, optimizer=other, scaler=second),
    ) == []  # fmt: skip
    scaled(source, one, first, [1, 1])
    scaled(target, other, second, [1, 1])
    assert second.get_scale() == first.get_scale() == 128.0
    expect_equal_modules(target, source)


PARAMETRIZED = {
    "weight norm": nn.utils.parametrizations.weight_norm,
    "spectral norm": nn.utils.parametrizations.spectral_norm,
    "orthogonal": nn.utils.parametrizations.orthogonal,
}


@pytest.mark.parametrize("name", PARAMETRIZED)
def test_parametrized_modules_go_on_with_the_same_bits(name: str) -> None:
    def made() -> tuple[Any, Any]:
        layer = PARAMETRIZED[name](nn.Linear(3, 3))
        model = nn.Sequential(nn.Embedding(5, 3), layer, nn.BatchNorm1d(3))
        return model, torch.optim.Adam(model.parameters(), lr=0.01)

    expect_to_go_on(made)


def test_a_module_of_several_dtypes_keeps_each() -> None:
    def made() -> Any:
        return nn.Sequential(nn.Embedding(5, 3).double(), nn.Linear(3, 2).half(), nn.BatchNorm1d(2))

    source, target = made(), made()
    nn.init.normal_(source[1].weight)
    assert moved(of_objects(model=source), of_objects(model=target)) == []
    expect_equal_modules(target, source)


def test_an_average_that_is_a_dict_of_tensors_stays_the_scripts_own() -> None:
    """Restored beside it, the script would go on averaging from where it began."""
    average = {"w": torch.zeros(3), "n": torch.zeros((), dtype=torch.int64)}
    w = average["w"]
    extras = {"ema": average}
    given = {"ema": {"w": torch.ones(3), "n": torch.tensor(7)}}
    assert moved(of_extras(given), of_extras(extras)) == []
    assert extras["ema"] is average
    assert average["w"] is w
    assert [w.tolist(), int(average["n"])] == [[1, 1, 1], 7]


@pytest.mark.parametrize(("model", "said"), [
    (nn.LazyLinear(2), "model/weight: a lazy module has not seen its first batch"),
    (nn.Linear(2, 2, device="meta"), "model/weight: a tensor on the meta device has no values"),
])  # fmt: skip
def test_what_has_no_values_yet_is_named_at_once(tmp_path: Any, model: Any, said: str) -> None:
    """Not when the first save is due, minutes into the training."""
    with pytest.raises(TypeError, match=said):
        spot.resume(model=model, directory=tmp_path)
    there = nn.Linear(2, 2)
    with pytest.raises(WrongState, match=said.replace("/", ": ")):
        moved(of_objects(model=there), of_objects(model=model))


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
    "Chained": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "Polynomial": lr_scheduler.PolynomialLR,
    "Averaging": lambda o: torch.optim.swa_utils.SWALR(o, 0.05),
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
