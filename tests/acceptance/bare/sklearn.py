"""Stands before scikit-learn in the path of commands that only score."""

raise ImportError("rows are scored by LightGBM, without scikit-learn")
