"""Dead letters: items that were skipped, in a file from which they can be run again."""
