"""The training loop: ``python -m tools.train.run DATA OUT``; stopped at any time, the same command goes on."""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.train.data import SCALES, Shards, VariedBatches, training_batch
from tools.train.evaluate import score
from tools.train.losses import Parts, losses, semantic_losses, total
from tools.train.networks import Network, deepened, parameters, restored
from tools.world.variants import CLASSES


@dataclass(frozen=True)
class Stage:
    """A part of the training: until this share of all steps, at this size, parts down to this width, batch size."""

    until: float
    size: tuple[int, int]
    closest: float
    batch: int


STAGES = (Stage(0.65, (320, 192), 0.6, 16), Stage(1.0, (512, 288), 0.8, 8))
"""First small pictures that show 60 to 100 % of a view, then whole views at full size."""
VARIED = Stage(1.0, (512, 288), 1.0, 8)
"""After them the views are made more varied: :class:`tools.train.data.VariedBatches`."""
PEAK, DECAY, WARM_UP, AVERAGE = 2e-3, 0.02, 300, 0.999
VARIED_PEAK, VARIED_WARM_UP = 1e-3, 100
WEIGHTED = 0.5
"""Share of the steps in which rare classes weigh more in the semantic loss."""


def main() -> None:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(prog="python -m tools.train.run", description=__doc__)
    parser.add_argument("data", type=Path, help="a folder with train/ and val/ shards, and drives/ for varied steps")
    parser.add_argument("out", type=Path, help="a folder for checkpoint.pt and log.txt")
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--varied", type=int, default=0, help="as many steps more, on views made more varied")
    parser.add_argument("--task", choices=TASKS, default="both", help="semantic: that half alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--save-every", type=int, default=200, help="steps")
    parser.add_argument("--score-every", type=int, default=1000, help="steps")
    start = parser.add_argument_group("from a trained network", "with --steps 0")
    start.add_argument("--start", type=Path, help="the checkpoint whose weights it begins with")
    start.add_argument("--depths", type=int, nargs=5, help="residual blocks by stage, for a deeper one")
    start.add_argument("--scales", type=float, nargs=2, default=SCALES, help="of varied views (default: %(default)s)")
    start.add_argument("--varied-peak", type=float, default=VARIED_PEAK, help="learning rate (default: %(default)s)")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    network = Network()
    if chosen.start:
        network = restored(torch.load(chosen.start, weights_only=True)["average"])
    if chosen.depths:
        network = deepened(network, tuple(chosen.depths))
    varied = Varied(chosen.varied, VariedBatches(VARIED.size, tuple(chosen.scales)), chosen.varied_peak)
    trainer = Trainer(network, TASKS[chosen.task], chosen.data, chosen.out, chosen.steps, varied, chosen.seed)
    trainer.run(chosen.save_every, chosen.score_every)


@dataclass(frozen=True)
class Task:
    """What is trained: which outputs of the network, and by which losses of them."""

    forward: Callable[[Network, torch.Tensor], Any]
    losses: Callable[..., Parts]


TASKS = {"both": Task(Network.forward, losses), "semantic": Task(Network.segment, semantic_losses)}


@dataclass(frozen=True)
class Varied:
    """The steps on views made more varied: how many, where they come from, the highest learning rate."""

    steps: int
    batches: VariedBatches
    peak: float


class Trainer:
    """Network, its running average, optimiser and step; everything that a checkpoint holds."""

    def __init__(
        self, network: Network, task: Task, data: Path, out: Path, steps: int, varied: Varied, seed: int
    ) -> None:
        self._task, self._data, self._out, self._steps, self._seed, self._varied = task, data, out, steps, seed, varied
        self._last = steps + varied.steps
        out.mkdir(parents=True, exist_ok=True)
        self.network = network
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network)
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.98))
        self.step = 0
        self._checkpoint = out / "checkpoint.pt"
        if self._checkpoint.exists():
            self._restore()

    def run(self, save_every: int, score_every: int) -> None:
        """Until the last step."""
        validation = Shards(self._data / "val")
        training = self._pools()
        views = " + ".join(str(len(pool)) for pool in training)
        self._say(f"{parameters(self.network)} parameters, {views} views, step {self.step} of {self._last}")
        started, sums, since = time.monotonic(), Counter[str](), 0
        while self.step < self._last:
            sums.update(self._advance(training))
            since += 1
            if self.step % 50 == 0:
                rate = since * self._stage.batch / (time.monotonic() - started)
                means = " ".join(f"{name} {added / since:.3f}" for name, added in sums.items())
                self._say(f"step {self.step} {rate:.1f} views/s {means}")
                started, sums, since = time.monotonic(), Counter[str](), 0
            if self.step % save_every == 0 or self.step == self._last:
                self._save()
                training = self._pools()  # more may have been rendered meanwhile
            if self.step % score_every == 0 or self.step == self._last:
                self._say(str(score(self.average, validation, STAGES[-1].size, 200)))
                started = time.monotonic()

    @property
    def _stage(self) -> Stage:
        if self.step >= self._steps:
            return VARIED
        return next(s for s in STAGES if self.step < s.until * self._steps or s is STAGES[-1])

    def _pools(self) -> list[Shards]:
        """Single views, and drives where varied steps need them."""
        return [Shards(self._data / name) for name in ("train", "drives")[: 2 if self._varied.steps else 1]]

    def _advance(self, training: list[Shards]) -> dict[str, float]:
        stage = self._stage
        rng = np.random.default_rng([self._seed, self.step])
        torch.manual_seed(self._seed * 1_000_003 + self.step)
        if stage is VARIED:
            batch = self._varied.batches.draw(training, rng, stage.batch)
        else:
            batch = training_batch(training[0], rng, stage.batch, stage.size, stage.closest)
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate
        self.network.train()
        phase = (int(rng.integers(2)), int(rng.integers(2)))
        weights = self._weights() if self.step < WEIGHTED * self._steps else None
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self._task.forward(self.network, batch.image)
        parts = self._task.losses(outputs, batch, weights, phase)
        self._optimiser.zero_grad(set_to_none=True)
        total(parts).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self._optimiser.step()
        self.step += 1
        self._follow()
        return {name: float(part.detach()) for name, part in parts.items()}

    @property
    def rate(self) -> float:
        """The learning rate of this step."""
        if self.step < self._steps:
            return PEAK * _cosine(self.step, self._steps, WARM_UP)
        return self._varied.peak * _cosine(self.step - self._steps, self._varied.steps, VARIED_WARM_UP)

    @staticmethod
    def _weights() -> torch.Tensor:
        share = {"pole": 0.006, "cone": 0.007, "animal": 0.012, "rider": 0.02, "person": 0.035, "box": 0.03}
        return torch.tensor([min(3.0, (0.06 / share[c]) ** 0.5) if c in share else 1.0 for c in CLASSES])

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(AVERAGE, (1 + self.step) / (20 + self.step))
        for mine, live in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(live, 1 - keep)
            else:
                mine.copy_(live)

    def _save(self) -> None:
        part = self._checkpoint.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, part)
        part.replace(self._checkpoint)

    def _restore(self) -> None:
        state = torch.load(self._checkpoint, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def _say(self, line: str) -> None:
        print(line, flush=True)
        with (self._out / "log.txt").open("a") as file:
            file.write(line + "\n")


def _cosine(step: int, steps: int, warm_up: int) -> float:
    """Rises to 1 within ``warm_up`` steps, falls to 0.01 at the last."""
    return min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * step / steps))))


if __name__ == "__main__":
    main()
