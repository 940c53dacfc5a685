"""ResNet-18 and ResNet-50 in plain torch: what they compute, without torchvision."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Block(nn.Module):  # type: ignore[misc]
    """A residual block: two convolutions, or three with a bottleneck."""

    def __init__(self, channels: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        out = width * 4 if bottleneck else width
        plan = [(channels, width, 3, stride), (width, width, 3, 1)]
        if bottleneck:
            plan = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        layers: list[Any] = []
        for before, after, kernel, step in plan:
            convolution = nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1])
        self.aside: Any = nn.Identity()
        if stride != 1 or channels != out:
            self.aside = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Any) -> Any:
        return torch.relu(self.body(x) + self.aside(x))


def resnet(layers: tuple[int, ...], width: int, *, bottleneck: bool) -> Any:
    """Returns a ResNet for images with three channels and a thousand classes."""
    made: list[Any] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    channels = width
    for stage, count in enumerate(layers):
        for number in range(count):
            stride = 2 if stage and not number else 1
            made.append(Block(channels, width << stage, stride, bottleneck=bottleneck))
            channels = (width << stage) * (4 if bottleneck else 1)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)
    return nn.Sequential(*made, *head)


def resnet50(width: int = 64) -> Any:
    return resnet((3, 4, 6, 3), width, bottleneck=True)


def resnet18(width: int = 64) -> Any:
    return resnet((2, 2, 2, 2), width, bottleneck=False)


class Trainer:
    """A model in training, bf16 and channels_last on a GPU.

    Args:
        model: On the CPU.
        device: Where it is trained.
    """

    def __init__(self, model: Any, device: Any) -> None:
        self.device = torch.device(device)
        self.is_cuda = self.device.type == "cuda"
        if self.is_cuda:
            torch.backends.cudnn.benchmark = True
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    def step(self, images: Any, labels: Any) -> Any:
        """Trains on a batch that is on the device, uint8[batch, height, width, 3]."""
        # As the bytes lie, that is channels_last already.
        found = images.permute(0, 3, 1, 2).float().div_(255)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_cuda):
            loss = nn.functional.cross_entropy(self.model(found), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def finish(self) -> None:
        """Waits until the device has done all that it was given."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)
