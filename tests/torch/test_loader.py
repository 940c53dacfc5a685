"""A pipeline is read with tensors in its items."""

from __future__ import annotations

import subprocess
import sys

import pytest

import minipipe as mp
from tests.torch.functors import AsTensors, batch, small

torch = pytest.importorskip("torch")

from minipipe.torch import loader, to_device  # noqa: E402
from minipipe.torch.devices import DeviceError  # noqa: E402


def test_items_come_as_tensors_nested_as_they_were_without_a_copy() -> None:
    pline = mp.PipeLine([mp.Source(range(5)), mp.Transform(batch)])
    pline.build()

    for _ in range(2):
        items = list(loader(pline))
        assert [item["label"][2] for item in items] == [0, 1, 2, 3, 4]
        for i, item in enumerate(items):
            assert item["image"].shape == (4, 128, 128, 3) and item["image"].dtype is torch.float32
            assert item["label"][0].tolist() == [0, 1, 2, 3] and item["label"][1] == "train"
            item["image"] += 1  # theirs alone
            assert (item["image"] == i + 1).all()


@pytest.mark.parametrize("about", [{}, {"writable": True}], ids=["plain", "writable"])
@pytest.mark.parametrize("convert", ["from_numpy", "as_tensor", "to_device"])
def test_items_of_a_broadcast_become_tensors_without_a_warning_and_apart(
    convert: str, about: dict[str, bool]
) -> None:
    sinks = [mp.Sink(AsTensors(convert), name, **about) for name in ("one", "other")]
    pline = mp.PipeLine([mp.Source(range(4)), mp.Transform(batch), mp.Broadcast(sinks)])
    results = pline.run().close()
    expected = [float(x) for i in range(4) for x in (i * 4 * 128 * 128 * 3, 6)]
    for name in ("one", "other"):
        sums, said, control = results[name]
        assert sums == expected and said == []
        assert len(control) == 1 and "not writable" in control[0]


@pytest.mark.parametrize("persistent", [False, True])
def test_the_length_of_a_source_with_epochs_is_that_of_all_of_them(persistent: bool) -> None:
    load = mp.Transform(small, "load", batch=4, ordered=True)
    with mp.PipeLine([mp.Source(range(10), epochs=3), load], persistent=persistent) as pline:
        batches = loader(pline)
        for _ in range(2):
            assert len(batches) == len(pline) == 8
            got = [batch["i"] for batch in batches]
            assert len(got) == 8
            assert torch.cat(got).tolist() == [*range(10)] * 3
        assert len(batches) == 8


def test_leaving_early_stops_the_run() -> None:
    pline = mp.PipeLine([mp.Source(range(10**9)), mp.Transform(batch)])

    for item in loader(pline):
        assert item["label"][2] == 0
        break
    assert [item["label"][2] for item, _ in zip(loader(pline), range(3), strict=False)] == [0, 1, 2]


def test_cuda_that_is_not_there_is_said_before_anything_starts() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    pline = mp.PipeLine([mp.Source(range(5))])

    with pytest.raises(DeviceError, match=r"device='cuda:1', but .*(without CUDA|no GPU)"):
        loader(pline, device="cuda:1")


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, r"no GPU is to be seen here.*nvidia-smi.*CUDA_VISIBLE_DEVICES"),
        (1, "there is one GPU to be seen: cuda:0$"),
        (4, "there are 4 GPUs to be seen: cuda:0 to cuda:3$"),
    ],
)
def test_a_gpu_that_does_not_exist_is_named(
    count: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    for made in (mp.PipeLine([mp.Source(range(5))]), list(range(5))):
        with pytest.raises(DeviceError, match=rf"device='cuda:7', but {said}"):
            loader(made, device="cuda:7")
    with pytest.raises(DeviceError, match=said):
        to_device(3, torch.device("cuda", 7))


def test_bad_options_are_named() -> None:
    pline = mp.PipeLine([mp.Source(range(5))])

    with pytest.raises(mp.OptionError, match="prefetch"):
        loader(pline, prefetch=0)
    with pytest.raises(mp.OptionError, match=r"'batch_size'.*mp\.Transform\(load, batch=64\)"):
        loader(pline, batch_size=64)
    with pytest.raises(mp.OptionError, match=r"'shard'.*mp\.Files\(pattern, shard="):
        loader(pline, shard=(0, 2))
    with pytest.raises(mp.OptionError, match=r"'shard'.*DistributedSampler\(dataset, num_repl"):
        loader(list(range(5)), shard=(0, 2))
    with pytest.raises(mp.OptionError, match=r"no option 'devise'.*did you mean 'device'"):
        loader(pline, devise="cpu")
    with pytest.raises(mp.OptionError, match="'gpu'"):
        loader(pline, device="gpu")
    with pytest.raises(mp.OptionError, match="'meta'"):
        loader(pline, device="meta")
    with pytest.raises(mp.OptionError, match="'cuda:-1'"):
        loader(pline, device="cuda:-1")


SCRIPT = """
import sys
sys.modules["torch"] = None  # as if it were not installed
import minipipe as mp
import minipipe.torch
try:
    mp.torch.loader(mp.PipeLine([mp.Source(range(3))]))
except mp.MissingExtraError as error:
    print(error)
try:
    from minipipe.torch import PipeLoader
except ImportError as error:
    print(error)
"""


def test_without_torch_the_extra_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("minipipe.torch needs the package torch: pip install '.[torch]'") == 2


def test_importing_minipipe_and_its_torch_part_imports_no_torch() -> None:
    code = (
        "import sys, minipipe, minipipe.torch; minipipe.torch.loader; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
