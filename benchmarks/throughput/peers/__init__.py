"""One script per peer: `PYTHON peers/NAME.py SIZE_BYTES ITEMS`, as a user of it would write it.

Scripts, not modules: with the repository on the path, minipipe 0.1.9 could not be imported.
No file here has the name of a package, since this directory comes first on that path.
"""
