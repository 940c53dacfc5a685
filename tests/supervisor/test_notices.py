"""What the log says of other machines, and of workers on them."""

from __future__ import annotations

import pickle

from minipipe.errors import WorkerDiedError
from minipipe.errors.deaths import worker_in_words
from minipipe.protocol.hosts.offer import Offer
from minipipe.supervisor.hosts.notices import joined, leaving, lost


def test_who_joins_is_said_with_what_it_has() -> None:
    assert joined(Offer("b", 1)) == "host 'b' has joined, with room for 1 worker"
    offer = Offer("b", 8, gpus=("0", "1"), tags=("gpu", "big"))
    said = "host 'b' (gpu, big) has joined, with room for 8 workers and 2 GPUs"
    assert joined(offer) == said


def test_who_goes_is_said_with_the_workers_that_go_with_it() -> None:
    assert lost("b", 0, "it has left") == "host 'b' is gone (it has left); no worker was on it"
    assert lost("b", 1, "silent") == "host 'b' is gone (silent), and with it 1 worker"
    assert leaving("b", "SIGTERM", {}, {}).endswith("as it is about to leave (SIGTERM)")
    line = leaving("b", "SIGTERM", {"decode": 2, "crop": 1}, {"train": 1})
    assert "; 2 of 'decode', 1 of 'crop' are to go on elsewhere; 1 of 'train' is to stay" in line


def test_a_death_says_on_which_other_machine_it_was_also_when_it_has_been_pickled() -> None:
    died = WorkerDiedError("work", "work/0", 7, "was killed", "", "", host="b")
    said = str(pickle.loads(pickle.dumps(died.then(", so"))))
    assert said == "segment 'work' (worker work/0 on host 'b', pid 7) was killed, so"
    here = WorkerDiedError("work", "work/0", 7, "was killed", "", "")
    assert "(worker work/0, pid 7) was killed" in str(here)


def test_a_worker_that_has_no_process_yet_has_no_pid() -> None:
    assert worker_in_words("work/1", 0, "b") == "worker work/1 on host 'b', not started yet"
    assert worker_in_words("work/1", 42) == "worker work/1, pid 42"
