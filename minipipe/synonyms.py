"""What users call an option that is called otherwise here: what an error suggests for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# By the word that was written: what it is called here, the likeliest first.  The words are those
# of DataLoader, multiprocessing, concurrent.futures, tf.data, Ray and queue.
_CALLED = {
    "n_processes": (
        *("num_workers", "n_workers", "nworkers", "workers", "max_workers", "num_worker"),
        *("worker_count", "workers_count", "worker_num", "nb_workers", "number_of_workers"),
        *("processes", "num_processes", "nprocesses", "n_process", "n_procs", "num_procs"),
        *("nproc", "n_proc", "procs", "process_count", "n_jobs", "njobs", "jobs", "n_cpus"),
        *("num_parallel_calls", "parallelism", "num_parallel", "parallel", "concurrency"),
        *("n_replicas", "replicas", "threads", "num_threads", "n_threads"),
    ),
    "threads": ("num_threads", "n_threads", "max_threads", "n_thread", "threadpool"),
    "buffer_size": (
        *("prefetch", "prefetch_factor", "prefetch_size", "n_prefetch", "num_prefetch"),
        *("maxsize", "max_size", "queue_size", "queuesize", "queue_len", "max_queue_size"),
        *("capacity", "high_water_mark", "hwm", "maxlen", "buffer", "buffersize", "bufsize"),
        *("buffer_len", "backlog", "read_ahead", "readahead", "lookahead", "max_items"),
    ),
    "batch": ("batch_size", "batchsize", "bs", "minibatch", "mini_batch", "batched"),
    "n": ("batch_size", "batchsize", "batch", "bs", "size", "n_samples", "n_rows", "rows"),
    "buffer": ("buffer_size", "shuffle_buffer_size", "shuffle_buffer", "buffersize", "n", "size"),
    "timeout_s": ("timeout", "timeout_seconds", "timeout_sec", "time_limit", "max_seconds"),
    "grace_s": ("grace", "grace_period", "shutdown_timeout"),
    "seed": ("random_state", "random_seed", "rng", "generator", "manual_seed"),
    "ordered": (
        *("in_order", "inorder", "keep_order", "keeporder", "preserve_order", "deterministic"),
        *("order", "sorted", "stable"),
    ),
    "restart": ("respawn", "retry", "restartable", "auto_restart", "stateless"),
    "max_restarts": ("retries", "n_retries", "num_retries", "max_retries", "restarts"),
    "max_failures": (
        *("max_errors", "allowed_failures", "error_budget", "max_skipped", "tolerance"),
        *("max_bad", "failures", "max_exceptions"),
    ),
    "ignore_exceptions": (
        *("ignore_errors", "ignore", "ignored", "skip_errors", "skip_exceptions", "on_error"),
        *("exceptions", "catch", "errors"),
    ),
    "dead_letter": (
        *("dead_letters", "dead_letter_path", "dead_letter_file", "dlq", "dead_letter_queue"),
        *("errors_file", "failed_path"),
    ),
    "init_kwargs": (*("kwargs", "kwds", "init_args", "initargs", "init", "args", "params"),),
    "worker_init": ("worker_init_fn", "init_fn", "initializer", "init_worker", "on_start"),
    "env": ("environ", "environment", "env_vars", "runtime_env"),
    "gpus": (
        *("gpu", "n_gpus", "num_gpus", "gpu_ids", "gpu_id", "cuda", "cuda_devices", "cuda_device"),
        *("devices", "device", "device_ids", "visible_devices", "accelerators"),
    ),
    "on": (
        *("host", "hosts", "node", "nodes", "machine", "machines", "tag", "tags", "where", "place"),
        *("placement", "run_on", "location", "resources", "scheduling_strategy", "affinity"),
    ),
    "bind": (
        *("address", "addr", "listen", "host", "port", "url", "endpoint", "master_addr"),
        *("rdzv_endpoint", "scheduler_address"),
    ),
    "token_file": ("token", "token_path", "tokenfile", "join_token", "secret_file"),
    "keys": ("key_file", "keys_file", "keyfile", "curve_keys", "certificate", "cert"),
    "place_timeout_s": ("placement_timeout", "place_timeout", "wait_for_hosts_s", "join_timeout"),
    "lost_after_s": ("heartbeat_timeout", "lost_after", "dead_after_s", "death_timeout"),
    "state_lost_after_s": ("state_lost_after",),
    "security": ("encryption", "curve", "tls", "ssl", "secure", "auth"),
    "ship": ("upload", "py_modules", "working_dir", "upload_file", "send_code", "code"),
    "functor_obj": (
        *("functor", "function", "func", "fn", "fun", "f", "callable", "target", "obj", "map_fn"),
        *("map_func", "iterable", "dataset", "data", "source", "generator", "items", "it"),
    ),
    "f": ("functor_obj", "functor", "function", "func", "fn", "callable", "target", "map_func"),
    "collate": ("collate_fn", "collate_func", "collate_function", "collator", "stack"),
    "drop_last": ("drop_remainder", "droplast", "drop_incomplete", "drop_rest"),
    "epochs": ("n_epochs", "num_epochs", "epoch", "repeat", "repeats", "passes", "count"),
    "length": ("len", "size", "total", "n_items", "num_items", "steps"),
    "writable": ("writeable", "copy", "mutable", "private"),
    "upstreams": ("inputs", "upstream", "sources", "input", "from_streams"),
    "downstreams": ("outputs", "downstream", "sinks", "output", "to_streams"),
    "log_lvl": ("log_level", "loglevel", "loglvl", "level", "verbose", "logging_level"),
    "inline": ("in_process", "debug", "serial", "single_process", "synchronous", "sync"),
    "persistent": ("persistent_workers", "keep_alive", "keep_workers", "reuse_workers"),
    "monitor": ("monitoring", "stats", "profile"),
    "drain": ("graceful", "flush", "finish"),
    "shared_bytes": ("shared_memory", "shm_size", "shm_bytes", "max_shared_bytes", "memory"),
    "preload": ("preloads", "imports", "import_modules", "preload_modules", "modules"),
    "segments": ("pipes", "stages", "steps", "parts", "nodes"),
    "pipes": ("segments", "stages", "steps", "parts", "nodes"),
    "broadcast": ("fan_out", "fanout"),
    "name": ("label", "title", "id", "key"),
    "allow_pickle": ("pickle", "trust", "unsafe"),
}

# Where an option is that is none where it was written.
_SEGMENT = "an option of the segment, as in mp.Transform(f, {}=...)"
_BELONGS = {
    **dict.fromkeys(
        (
            *("n_processes", "buffer_size", "env", "gpus", "on", "ignore_exceptions"),
            "init_kwargs",
            "writable",
            *("ordered", "restart", "max_restarts", "poison", "timeout_s", "max_failures"),
            *("dead_letter", "upstreams", "downstreams", "name", "strict"),
        ),
        _SEGMENT,
    ),
    "epochs": "an option of mp.Source",
    "length": "an option of mp.Source",
    "drop_last": "an option of mp.Transform with batch=, and of mp.Batch",
    "collate": "an option of mp.Transform with batch=, and of mp.Batch",
    "inline": "an option of build",
    "log_lvl": "an option of build",
    "monitor": "an option of build",
    "grace_s": "an option of run",
    "seed": "an option of run",
    "shared_bytes": "an option of run",
    "preload": "an option of run",
    "worker_init": "an option of run",
    **dict.fromkeys(
        (
            *(
                "bind",
                "token_file",
                "keys",
                "place_timeout_s",
                "lost_after_s",
                "state_lost_after_s",
            ),
            *("security", "ship"),
        ),
        "an option of run",
    ),
    "drain": "an option of stop",
    "persistent": "an option of mp.PipeLine and mp.PipeSystem",
}

# What is no option here, but something else.
_INSTEAD = {
    **dict.fromkeys(
        ("batch_size", "batchsize", "batch", "bs", "batched"),
        "batches are made by a segment: mp.Transform(f, batch=64), or mp.Batch(64) behind it",
    ),
    **dict.fromkeys(
        ("shuffle", "shuffle_buffer", "shuffle_buffer_size", "shuffle_files", "sampler"),
        "items are shuffled by a segment: add mp.Shuffle(10_000), say, behind the Source",
    ),
    **dict.fromkeys(
        ("pin_memory", "multiprocessing_context", "mp_context"),
        "there is nothing like it here: leave it away",
    ),
    **dict.fromkeys(
        ("chunksize", "chunk_size"),
        "how many items share a message is found out by itself: leave it away",
    ),
    **dict.fromkeys(("flatten", "flat"), "mp.FlatMap(f) passes on each element of what f gives"),
}


def names_for(word: str, known: Iterable[str]) -> list[str]:
    """What of `known` is likely to be meant by `word`, by its meaning."""
    return [name for name in known if word in _CALLED.get(name, ())]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is spelled most like `word`, if one is."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return near[0] if near else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to do instead of writing `word` where `known` are the options; or nothing."""
    known = tuple(known)
    same = names_for(word, known)
    if same:
        return f"; did you mean {same[0]!r}?"
    if word in _BELONGS:
        return f"; it is {_BELONGS[word].format(word)}"
    if word in _INSTEAD:
        return f"; {_INSTEAD[word]}"
    near = nearest(word, known)
    if near is not None:
        return f"; did you mean {near!r}?"
    for name in (*names_for(word, _BELONGS), nearest(word, _BELONGS)):
        if name is not None:
            return f"; did you mean {name!r}, {_BELONGS[name].format(name)}?"
    return ""
