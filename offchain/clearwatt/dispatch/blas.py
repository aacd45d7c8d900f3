"""One BLAS thread for the many small matrices of dispatch.

More threads per block of [T, T] are slower, and by far where processes share the processors.
"""

from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

_CONTROLLER = ThreadpoolController().select(user_api="blas")


def one_blas_thread() -> AbstractContextManager:
    """Within it, numpy's and scipy's linear algebra runs in the calling thread."""
    return _CONTROLLER.limit(limits=1)
