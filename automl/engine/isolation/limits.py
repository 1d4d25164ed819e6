"""What this machine lets us use: processors, memory, and how much of it a process holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
# A warm server with every library imported; its pages are shared with the fits it forks.
SERVER_BYTES = 300 << 20
# Less than this is no use to a fit: then fewer seats are better.
SMALLEST_SEAT = 512 << 20
# What is left for the page cache, the web process, the broker and the database.
SHARE_FOR_SEATS = 0.8


@dataclass(frozen=True, slots=True)
class SeatPlan:
    """How the machine is shared out.

    Attributes
    ----------
    seats : int
        Fits that run at the same time.
    threads : int
        Threads that each fit may use; seats x threads is the quota of processors.
    memory_bytes : int
        Memory that each fit may use.
    """

    seats: int
    threads: int
    memory_bytes: int


def plan_seats(
    *, seats: int | None = None, threads: int | None = None, memory: int | None = None, beside: int = 0
) -> SeatPlan:
    """Share the machine out: as many seats as processors, unless told otherwise.

    Parameters
    ----------
    seats, threads : int, optional
        Given one of them, the other follows from the processors; given both, both are kept.
    memory : int, optional
        Bytes for each fit. Left out, four fifths of what there is are shared out evenly, among
        fewer seats where each would get less than 512 MB.
    beside : int
        Shares of the same size that are kept back for other work.

    Examples
    --------
    >>> plan_seats(seats=2, threads=3, memory=1 << 30)
    SeatPlan(seats=2, threads=3, memory_bytes=1073741824)
    """
    quota = cpu_quota()
    available = int(SHARE_FOR_SEATS * memory_limit())
    count = seats or max(1, quota // (threads or 1))
    if seats is None:
        count = max(1, min(count, available // (SERVER_BYTES + (memory or SMALLEST_SEAT)) - beside))
    each = memory or max(available // (count + beside) - SERVER_BYTES, SMALLEST_SEAT)
    return SeatPlan(count, threads or max(1, quota // count), each)


def cpu_quota() -> int:
    """Count the processors this process may keep busy: its affinity and its control groups, at least 1."""
    quotas = [float(len(os.sched_getaffinity(0)))]
    for folder in _control_groups("cpu"):
        quota = _cpu_share(folder)
        if quota is not None:
            quotas.append(quota)
    return max(1, int(min(quotas)))


def memory_limit() -> int:
    """Give the bytes that this process and its siblings may use: the machine's, or less in a container."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _control_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            number = _read(folder / name)
            if number.isdigit():
                limits.append(int(number))
    return min(limits)


def used_bytes(pid: int) -> int:
    """Give the memory that a process holds for itself: anonymous, shared-memory and swapped pages.

    Pages of files (libraries, memory-mapped tables) are left out: the kernel can drop them. Taken
    from the kernel's counters, which cost microseconds; the exact share of pages that a fork has
    in common with its parent would mean walking every page table while the fit waits.
    """
    return _sum_of(PROC / str(pid) / "status", ("RssAnon:", "RssShmem:", "VmSwap:"))


def proportional_bytes(pid: int) -> int:
    """Give a process's share of the memory that it holds together with others."""
    return _sum_of(PROC / str(pid) / "smaps_rollup", ("Pss_Anon:", "Pss_Shmem:", "SwapPss:"))


def descendants(pid: int) -> list[int]:
    """List the processes that a process has started, and those that they have."""
    found: list[int] = []
    for child in _read(PROC / str(pid) / "task" / str(pid) / "children").split():
        found += [int(child), *descendants(int(child))]
    return found


def _sum_of(path: Path, names: tuple[str, ...]) -> int:
    lines = _read(path).splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(names))


def _control_groups(controller: str) -> Iterator[Path]:
    """Walk from this process's control group to the root, in the hierarchy of version 1 or 2.

    Inside a container the path may be the host's while the root is the container's own: a level
    that is not there is passed over.
    """
    for line in _read(PROC / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            roots = [CGROUPS, CGROUPS / "unified"]
        elif controller in names.split(","):
            roots = [CGROUPS / controller, CGROUPS / names]
        else:
            continue
        for root in roots:
            folder = root / path.strip("/")
            while folder.is_relative_to(root):
                yield folder
                folder = folder.parent


def _cpu_share(folder: Path) -> float | None:
    fields = _read(folder / "cpu.max").split()
    if not fields:
        fields = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
    if len(fields) != 2 or not all(field.isdigit() for field in fields) or int(fields[1]) == 0:
        return None
    return int(fields[0]) / int(fields[1])


def _read(path: Path) -> str:
    """Read a small file of the kernel's; empty if it is not there or its process is gone."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
