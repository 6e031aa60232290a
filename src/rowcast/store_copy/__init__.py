"""A job's store copied to another database, each row held against the original before any of it is believed."""

from rowcast.store_copy.copying import StoreCopy, copy_store, preview_copy

__all__ = ["StoreCopy", "copy_store", "preview_copy"]
