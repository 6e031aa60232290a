"""rowcast puts a model to work on a SQL table and keeps it working."""

__version__ = "0.2.0"
