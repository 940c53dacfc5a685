"""Random distortions of 8x8 images: what a handwriting would do to them, and a camera.

NumPy, element by element: no BLAS, whose results may depend on its number of threads, so the
same seed gives the same bits in every process.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

SIDE = 8
PIXELS = SIDE * SIDE
BRIGHTEST = 16.0  # scikit-learn's digits have the values 0 to 16

Images: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

# So many at a time: their temporary arrays stay in the processor's cache (8192 at once took twice
# as long), and do not grow with the chunk.
BLOCK_IMAGES = 256

# Standard deviations.  Half as much again made a test accuracy of 97 % where this gives 98 %.
ANGLE_RAD = 0.10
LOG_SCALE = 0.05
SHEAR = 0.05
BEND_PIXELS = 0.20  # of what each of 3x3 control points is moved by
NOISE = 0.04
SHIFT_PIXELS = 0.3  # at most, on top of the shifts in the files

BORDER = 4  # a cubic looks at 4x4 pixels, so one more cannot be seen from outside


def augment(images: Images, seed: int) -> Floats:
    """The images, each rotated, scaled, sheared, shifted, bent, dimmed and made noisy at random.

    Args:
        images: uint8[n, 8, 8], values 0 to 16.
        seed: the same seed and images give the same result, bit by bit.

    Returns:
        float32[n, 64], values 0 to 1.
    """
    rng = np.random.default_rng(seed)
    out = np.empty((len(images), PIXELS), np.float32)
    for first in range(0, len(images), BLOCK_IMAGES):
        block = normalise(images[first : first + BLOCK_IMAGES])
        rows, columns = _where_from(rng, len(block))
        distorted = _resample(block.reshape(-1, SIDE, SIDE), rows, columns)
        distorted *= rng.uniform(0.7, 1.2, (len(block), 1)).astype(np.float32)
        distorted += NOISE * rng.standard_normal(distorted.shape, np.float32)
        np.clip(distorted, 0.0, 1.0, out=out[first : first + len(block)])
    return out


def normalise(images: Images) -> Floats:
    """The images as a model sees them: float32[n, 64], values 0 to 1."""
    return images.reshape(-1, PIXELS).astype(np.float32) / np.float32(BRIGHTEST)


def _where_from(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Row and column, float32[n, 64] each, that every pixel of the result is taken from."""
    angle = ANGLE_RAD * rng.standard_normal((n, 1), np.float32)
    down = np.exp(LOG_SCALE * rng.standard_normal((n, 1), np.float32))
    across = np.exp(LOG_SCALE * rng.standard_normal((n, 1), np.float32))
    shear = SHEAR * rng.standard_normal((n, 1), np.float32)
    shift = rng.uniform(-SHIFT_PIXELS, SHIFT_PIXELS, (2, n, 1)).astype(np.float32)
    bend = BEND_PIXELS * rng.standard_normal((2, n, 9), np.float32)

    cos, sin = np.cos(angle), np.sin(angle)
    y, x = _CENTRED
    x = x + shear * y
    rows = down * (cos * y - sin * x) + shift[0]
    columns = across * (sin * y + cos * x) + shift[1]
    # einsum without `optimize` loops in C; matmul would call BLAS.
    rows += np.einsum("nk,kp->np", bend[0], _SPREAD)
    columns += np.einsum("nk,kp->np", bend[1], _SPREAD)
    middle = np.float32((SIDE - 1) / 2)
    return rows + middle, columns + middle


def _resample(images: Floats, rows: Floats, columns: Floats) -> Floats:
    """Bicubic interpolation (Keys 1981, a = -1/2) of each image at its own 64 places.

    Args:
        images: float32[n, 8, 8].
        rows, columns: float32[n, 64], in pixels.

    Returns:
        float32[n, 64].
    """
    n = len(images)
    width = SIDE + 2 * BORDER
    padded = np.zeros((n, width, width), np.float32)
    padded[:, BORDER:-BORDER, BORDER:-BORDER] = images
    top, left = np.floor(rows), np.floor(columns)
    row_weights, column_weights = _cubic(rows - top), _cubic(columns - left)
    # Further out all is black, too: the four pixels from -4 on are, and those from 8 on.
    i = np.clip(top, 1 - BORDER, SIDE + 1).astype(np.intp) + (BORDER - 1)
    j = np.clip(left, 1 - BORDER, SIDE + 1).astype(np.intp) + (BORDER - 1)
    corner = (i * width + j) + np.arange(n)[:, None] * (width * width)
    flat = padded.reshape(-1)
    out = np.zeros_like(rows)
    for down, row_weight in enumerate(row_weights):
        line = np.zeros_like(rows)
        for right, column_weight in enumerate(column_weights):
            line += column_weight * flat.take(corner + (down * width + right))
        out += row_weight * line
    return out


def _cubic(t: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights of the four pixels around a place that is `t` (0 to 1) behind the second."""
    half = np.float32(0.5)
    t2 = t * t
    t3 = t2 * t
    return (
        half * (-t3 + 2 * t2 - t),
        half * (3 * t3 - 5 * t2 + 2),
        half * (-3 * t3 + 4 * t2 + t),
        half * (t3 - t2),
    )


def _centred() -> Floats:
    """Row and column of each pixel, from the middle of the image: float32[2, 64]."""
    return (np.indices((SIDE, SIDE)).reshape(2, PIXELS) - (SIDE - 1) / 2).astype(np.float32)


def _spread() -> Floats:
    """float32[9, 64]: how far each pixel follows each of 3x3 control points (bilinear)."""
    place = np.arange(SIDE) * 2 / (SIDE - 1)
    hat = np.maximum(0.0, 1.0 - np.abs(place[None, :] - np.arange(3)[:, None]))
    spread: Floats = np.einsum("ir,jc->ijrc", hat, hat).reshape(9, PIXELS).astype(np.float32)
    return spread


_CENTRED = _centred()
_SPREAD = _spread()
