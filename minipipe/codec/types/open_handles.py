"""Open files and databases of libraries: processes that share one by fork break it for each other.

A forked process has the same position in the file and the same locks; and what has threads, or a
connection that ends with either process, is of no use in it at all.
"""

from __future__ import annotations

from minipipe.codec.library import Library, Sharing

# Names of classes by library: what one process may use after a fork, and what none may.
_FOR_ONE: dict[str, tuple[str, ...]] = {
    "h5py": ("File", "Group", "Dataset"),
    "netCDF4": ("Dataset",),
    "tables": ("File",),
    "rasterio": ("DatasetReader", "DatasetWriter"),
    "cv2": ("VideoCapture",),
    "pysam": ("AlignmentFile", "FastaFile", "VariantFile"),
}
_FOR_NONE: dict[str, tuple[str, ...]] = {
    "sqlite3": ("Connection", "Cursor"),
    "lmdb": ("Environment", "Transaction"),
    "duckdb": ("DuckDBPyConnection",),
    "psycopg2": ("connection", "cursor"),
    "psycopg": ("Connection", "Cursor"),
    "pymysql": ("Connection",),
    "MySQLdb": ("Connection",),
    "mysql": ("MySQLConnection", "CMySQLConnection"),
    "pymongo": ("MongoClient",),
    "grpc": ("Channel",),
    "rocksdict": ("Rdict",),
    "plyvel": ("DB",),
}

CLASSES = {**_FOR_ONE, **_FOR_NONE}


def _shared(kind: type) -> Sharing | None:
    for base in kind.__mro__:
        name = str(base.__module__).partition(".")[0]
        if base.__name__ in CLASSES.get(name, ()):
            what = "a connection to a database"
            if name != "sqlite3":
                what = f"an open {name}.{base.__name__}"
            return Sharing(what, for_none=name in _FOR_NONE)
    return None


LIBRARY = Library(shared=_shared)
