"""Every error that MiniPipe raises on purpose.

Each derives from `MiniPipeError` and from the built-in exception that it is, so that
`except ValueError` works as well.  Constructor arguments are the fields: that is what makes
them survive pickling between processes.
"""

from minipipe.errors.base import (
    BuildError,
    LifecycleError,
    MiniPipeError,
    MissingExtraError,
    OptionError,
    StartError,
    StateError,
    UsageError,
)
from minipipe.errors.deaths import (
    PoisonError,
    TooManyFailuresError,
    WorkerDiedError,
)
from minipipe.errors.files import FileReadError
from minipipe.errors.functors import (
    FunctorError,
    OutputsError,
    RemoteTraceback,
    ResultTooLargeError,
    SameIteratorError,
    SentinelError,
    TwicePairedError,
    UnpairedError,
)
from minipipe.errors.messages import MessageRefusedError
from minipipe.errors.options import (
    did_you_mean,
    reject_unknown,
)
from minipipe.errors.transport import (
    ItemTypeError,
    JoinError,
    RecordError,
    RunDirectoryLostError,
    TokenError,
    TransportError,
    UnknownTransportError,
    UnreadableItemError,
    WireFormatError,
)

__all__ = [
    "BuildError",
    "FileReadError",
    "FunctorError",
    "ItemTypeError",
    "JoinError",
    "LifecycleError",
    "MessageRefusedError",
    "MiniPipeError",
    "MissingExtraError",
    "OptionError",
    "OutputsError",
    "PoisonError",
    "RecordError",
    "RemoteTraceback",
    "ResultTooLargeError",
    "RunDirectoryLostError",
    "SameIteratorError",
    "SentinelError",
    "StartError",
    "StateError",
    "TokenError",
    "TooManyFailuresError",
    "TransportError",
    "TwicePairedError",
    "UnknownTransportError",
    "UnpairedError",
    "UnreadableItemError",
    "UsageError",
    "WireFormatError",
    "WorkerDiedError",
    "did_you_mean",
    "reject_unknown",
]

# Tracebacks and pickles name an error by the place that users import it from.
for _name in __all__:
    globals()[_name].__module__ = __name__
