"""Stands before pandas in the path of commands that only score."""

raise ImportError("rows are scored without pandas")
