"""Keep the big blocks: images are allocated and freed thirty times a second, and by default each goes back to the
kernel and comes again as pages that are zeroed and faulted in one by one.
"""

from __future__ import annotations

import ctypes
import os

# Options of glibc's mallopt(3); the numbers are part of its ABI.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 1 << 20


def keep_large_blocks() -> bool:
    """Tell malloc to serve image-sized blocks from the heap and to keep them when freed; call it at process start.

    Returns whether the C library took it: musl and others have no ``mallopt``, and lose nothing but speed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # 32 MiB is the largest threshold that glibc accepts on a 64-bit machine: a 4K rgb8 image is 24 MiB.
    settings = ((_M_MMAP_THRESHOLD, 32 * _MIB), (_M_TRIM_THRESHOLD, 512 * _MIB), (_M_TOP_PAD, 64 * _MIB))
    return [mallopt(option, value) for option, value in settings] == [1] * len(settings)


def resident_bytes() -> int:
    """This process's resident memory, from ``/proc``; 0 where there is no ``/proc``."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
