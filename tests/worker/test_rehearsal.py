"""What a zygote does beforehand for its workers (`worker.rehearsal`)."""

from __future__ import annotations

import threading

from minipipe.stream import records
from minipipe.transport import inproc
from minipipe.worker.rehearsal import play, rehearse
from tests.conftest import descriptors


def test_an_item_goes_the_whole_way() -> None:
    assert play() > 0


def test_nothing_is_left_of_a_rehearsal_when_workers_are_forked() -> None:
    rehearse()
    before = descriptors(), threading.active_count(), dict(inproc._mailboxes), set(inproc._bound)
    rehearse()
    after = descriptors(), threading.active_count(), dict(inproc._mailboxes), set(inproc._bound)
    assert after == before


def test_all_records_that_workers_read_have_their_checks_afterwards() -> None:
    rehearse()
    read = [f for f in records.FORMS.values() if f.cls.__module__ == records.__name__]
    assert read
    assert not any(form.name for form in read if "fits" not in vars(form))
