"""A job's runs, figures and versions, mirrored to an MLflow tracking server: the store stays what is true.

What is sent is read from the store's own record, in its order, and a cursor in the store says how far it was. A server
that is away delays nothing: the run is over by then, and the next one sends what waits.
"""

from rowcast.tracking.mirroring import MirrorResult, mirror, mirror_after_run

__all__ = ["MirrorResult", "mirror", "mirror_after_run"]
