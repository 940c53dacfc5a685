"""What to say of arrays on their way to a GPU, if their way costs time: pure functions.

A GPU copies from pinned memory by itself.  From other memory the driver does, through pinned
buffers of its own, and who has asked for that waits: a part of the time that counts as busy.
"""

from __future__ import annotations

from minipipe.observe.load import SegmentLoad

SHARE = 0.1  # of its time at work: from here on it is worth a word
LARGE_BYTES = 64 * 1024  # of an item: smaller ones cost by their number
PAGEABLE_BYTES_S = 12e9  # no driver copies more than about this in a second from such memory


def pageable(its: SegmentLoad) -> str:
    """What to say of the copies of a segment; empty: they cost next to nothing, or are unknown."""
    at_work_s = its.busy_s + its.own_s
    if at_work_s <= 0 or not its.items:
        return ""
    staged = its.staged_s / at_work_s
    if staged >= SHARE:
        return (
            f"{min(staged, 1.0):.0%} of its time goes to copies of arrays into pinned memory, as "
            "the GPU cannot copy from where they are: arrays that another segment has made lie in "
            "shared memory, which it mostly can (shared_bytes= of run; the log says if the driver "
            "has refused)."
        )
    size_bytes = its.bytes_in / its.items
    if not its.own_copies or size_bytes < LARGE_BYTES:
        return ""
    share = its.bytes_in / PAGEABLE_BYTES_S / at_work_s
    if share < SHARE:
        return ""
    instead = (
        'minipipe.torch.loader(pline, device="cuda")'
        if its.kind == "caller"
        else "minipipe.torch.to_device"
    )
    return (
        f"It uses a GPU. If it copies its items there itself ({size_bytes / 1e6:.1f} MB each), it "
        f"waits for that for at least {min(share, 1.0):.0%} of its time, as they are not in pinned "
        f"memory; {instead} copies beside what the GPU computes."
    )
