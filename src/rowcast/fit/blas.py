"""One thread for linear algebra while a model is built.

What is fitted is small: there a second thread waits more than it works (calibrating on 3,000 rows took 5 times as long
with two), and sums would differ in their last bits with the number of cores.
"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit linear algebra to one thread within a `with`; the libraries that do it are imported first."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
