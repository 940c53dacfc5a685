"""The caller's side of a run: starts, watches, mends and ends its processes.

`run` is the way in.  (Nothing is imported here: `caller` is needed on systems, too, where no
process can be started.)
"""
