"""A Python like that of Windows, as far as MiniPipe can see: run in an interpreter of its own.

What is not MiniPipe's is imported before, as the real one would come with what it needs there.
"""

from __future__ import annotations

import sys

MODULES = (
    "fcntl",
    "grp",
    "posix",
    "pty",
    "pwd",
    "readline",
    "resource",
    "syslog",
    "termios",
    "tty",
)
OF_MODULES = {
    "os": (
        "fork forkpty getegid geteuid getgid getpgid getpgrp getpriority getsid getuid killpg "
        "memfd_create mkfifo nice pidfd_open posix_fallocate posix_spawn pread pwrite "
        "register_at_fork sched_getaffinity sched_setaffinity sendfile set_blocking setpgid setsid "
        "statvfs sysconf uname wait wait3 wait4 waitid waitstatus_to_exitcode WIFSIGNALED WTERMSIG "
        "WNOHANG WNOWAIT WEXITED P_PID P_PIDFD O_CLOEXEC O_NONBLOCK MFD_CLOEXEC"
    ),
    "signal": (
        "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGRTMAX SIGRTMIN SIGSTOP "
        "SIGTSTP SIGUSR1 SIGUSR2 SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm pause pthread_kill "
        "pthread_sigmask setitimer sigpending sigwait"
    ),
    "select": "poll epoll",
    "socket": "AF_UNIX send_fds recv_fds SCM_RIGHTS CMSG_LEN",
    "mmap": "MAP_SHARED MAP_PRIVATE MAP_ANONYMOUS PROT_READ PROT_WRITE",
    "faulthandler": "register unregister",
    "time": "tzset pthread_getcpuclockid",
}


def become_windows() -> None:
    """From now on this interpreter has none of what Windows does not have."""
    import ctypes
    import logging.handlers  # noqa: F401
    import multiprocessing.context  # noqa: F401
    import subprocess  # noqa: F401
    import sysconfig
    import tempfile  # noqa: F401
    import uuid  # noqa: F401
    import zoneinfo  # noqa: F401

    import cloudpickle  # noqa: F401
    import msgpack_numpy  # noqa: F401
    import numpy.random  # noqa: F401
    import zmq  # noqa: F401

    sysconfig.get_config_vars()  # what is known of this build stands in a file of its own name
    assert not [name for name in sys.modules if name.split(".")[0] == "minipipe"]
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # makes its import an ImportError
    for module, names in OF_MODULES.items():
        __import__(module)
        for name in names.split():
            vars(sys.modules[module]).pop(name, None)
    load = ctypes.CDLL.__init__

    def load_by_name_only(self: ctypes.CDLL, name: str, *args: object, **options: object) -> None:
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        load(self, name, *args, **options)  # type: ignore[arg-type]

    ctypes.CDLL.__init__ = load_by_name_only  # type: ignore[method-assign,assignment]
    sys.platform = "win32"
