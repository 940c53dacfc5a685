"""Regulators that gather, cut, spread and reorder: batches, rows and samples."""
