"""`python -m benchmarks.gpu`: how well a GPU is fed, beside DataLoader, on one machine.

Each part is measured once and written down at once, so a run that was cut off goes on where it was:
`--again` forgets all. In full it takes less than five minutes of a machine with a GPU. With
`--device cpu --small` the whole program runs anywhere; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import minipipe
from benchmarks.gpu.measuring import Size, described

RESULTS = Path(__file__).parents[1] / "results" / "gpu.md"
STATE = Path("build/gpu-parts.json")
Part = Callable[[Size], Mapping[str, float]]


def _check(size: Size) -> Mapping[str, float]:
    from benchmarks.gpu.copying import check

    return check(size)


def _rates(size: Size) -> Mapping[str, float]:
    from benchmarks.gpu.copying import rates

    return rates(size)


def _feed(number: int) -> Part:
    def measure(size: Size) -> Mapping[str, float]:
        from benchmarks.gpu.feeds import FEEDS
        from benchmarks.gpu.measuring import trained
        from benchmarks.gpu.models import Trainer, resnet50

        batches: Any = list(FEEDS.values())[number](size)
        try:
            return trained(Trainer(resnet50(size.width), size.device), batches, size)
        finally:
            batches.close()

    return measure


def _several(name: str) -> Part:
    def measure(size: Size) -> Mapping[str, float]:
        from benchmarks.gpu import side_by_side

        if name == "data_loaders":
            return {"images_per_s": side_by_side.data_loaders(size)}
        # So many that it takes about as long: 2500 images a second and model are a guess.
        batches = size.warm_up + max(4, int(size.seconds * 2500 / size.batch))
        return {"images_per_s": side_by_side.broadcast(size, batches)}

    return measure


CEILING = "ResNet-50, ceiling: one batch that stays on the device"
# By name; the check comes first, as nothing else counts where that fails.
PARTS: dict[str, Part] = {
    "check: slots given back and refilled between copies": _check,
    "host to device, GB/s": _rates,
    CEILING: _feed(0),
    "ResNet-50, DataLoader with pin_memory": _feed(1),
    "ResNet-50, minipipe.torch.loader(dataset)": _feed(2),
    "ResNet-50, minipipe.torch.loader(pline)": _feed(3),
    "several ResNet-18, a DataLoader each": _several("data_loaders"),
    "several ResNet-18, one pipeline that is broadcast": _several("broadcast"),
}


def machine(device: str) -> str:
    """What is measured on."""
    import torch

    name = torch.cuda.get_device_name(device) if device != "cpu" else "no GPU"
    return (
        f"{name}, {platform.machine()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, MiniPipe {minipipe.__version__}; "
        f"{time.strftime('%Y-%m-%d')}"
    )


def section(done: Mapping[str, Mapping[str, float]], head: str, size: Size) -> str:
    """What was measured, in Markdown."""
    lines = [f"## {head}", "", described(size), "", "| what | |", "|---|---|"]
    top = done.get(CEILING, {}).get("images_per_s")
    for name in PARTS:
        if name not in done:
            continue
        words = [f"{key.replace('_', ' ')} {value:.4g}" for key, value in done[name].items()]
        if top and name.startswith("ResNet-50") and "images_per_s" in done[name]:
            words.append(f"{done[name]['images_per_s'] / top:.3f} of the ceiling")
        lines.append(f"| {name} | {', '.join(words)} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Measures what was not measured yet; exit code 1 if the check fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="only those with this in the name")
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1, cpu")
    parser.add_argument("--small", action="store_true", help="seconds, to see that it runs")
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    parser.add_argument("--save", type=Path, nargs="?", const=RESULTS, help="append the results")
    parser.add_argument("--state", type=Path, default=STATE, help="where parts are written down")
    arguments = parser.parse_args()
    size = Size.small(arguments.device) if arguments.small else Size.full(arguments.device)
    key = f"{platform.node()}, {arguments.device}, {described(size)}"
    kept: dict[str, Any] = {}
    if arguments.state.exists() and not arguments.again:
        kept = json.loads(arguments.state.read_text())
    done = kept.setdefault(key, {})
    if arguments.small:
        os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; in all processes
    wanted = arguments.parts or [""]
    for name, part in PARTS.items():
        if not any(word in name for word in wanted):
            continue
        if name in done:
            print(f"measured before: {name}", file=sys.stderr, flush=True)
            continue
        began_s = time.monotonic()
        print(f"... {name}", file=sys.stderr, flush=True)
        done[name] = dict(part(size))
        print(f"    {time.monotonic() - began_s:.1f} s", file=sys.stderr, flush=True)
        arguments.state.parent.mkdir(parents=True, exist_ok=True)
        arguments.state.write_text(json.dumps(kept, indent=1))
    text = section(done, machine(arguments.device), size)
    print(text)
    if arguments.save:
        with arguments.save.open("a") as file:
            file.write(f"\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
