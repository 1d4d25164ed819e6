from __future__ import annotations

import os
from pathlib import Path

import pytest

from automl.engine.isolation import SeatPlan, cpu_quota, limits, memory_limit, plan_seats

GB = 1 << 30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four processors and 16 GB; files are written by the test where the kernel would have them."""
    monkeypatch.setattr(limits, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "PROC", tmp_path / "proc")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16 * GB // 4096}.get)
    return tmp_path


def write(machine: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = machine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_without_control_groups_the_machine_is_ours(machine):
    assert cpu_quota() == 4
    assert memory_limit() == 16 * GB


@pytest.mark.parametrize(
    ("quota", "processors"),
    [("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 4)],
)
def test_version_2_limits_processors(machine, quota, processors):
    write(machine, {"proc/self/cgroup": "0::/pod\n", "cgroup/pod/cpu.max": quota})
    assert cpu_quota() == processors


def test_version_1_limits_processors_and_memory(machine):
    # The path is the host's; inside the container its own group is the root.
    files = {
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
        "cgroup/cpu/cpu.cfs_quota_us": "200000",
        "cgroup/cpu/cpu.cfs_period_us": "100000",
        "cgroup/memory/memory.limit_in_bytes": str(2 * GB),
    }
    write(machine, files)
    assert cpu_quota() == 2
    assert memory_limit() == 2 * GB


def test_the_smallest_limit_on_the_way_to_the_root_holds(machine):
    files = {
        "proc/self/cgroup": "0::/pod/container\n",
        "cgroup/pod/container/memory.max": "max",
        "cgroup/pod/memory.max": str(3 * GB),
    }
    write(machine, files)
    assert memory_limit() == 3 * GB


def test_no_limit_of_version_1_is_a_huge_number_and_means_the_machine(machine):
    unlimited = {"cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}
    write(machine, {"proc/self/cgroup": "4:memory:/\n", **unlimited})
    assert memory_limit() == 16 * GB


def test_a_processor_is_a_seat(machine):
    plan = plan_seats()
    assert (plan.seats, plan.threads) == (4, 1)
    assert 2 * GB < plan.memory_bytes < 4 * GB


@pytest.mark.parametrize(
    ("given", "seats", "threads"),
    [({"seats": 2}, 2, 2), ({"threads": 2}, 2, 2), ({"seats": 8}, 8, 1), ({"seats": 3, "threads": 5}, 3, 5)],
)
def test_seats_and_threads_share_the_processors(machine, given, seats, threads):
    plan = plan_seats(**given)
    assert (plan.seats, plan.threads) == (seats, threads)


def test_little_memory_means_fewer_seats_with_more_threads(machine, monkeypatch):
    monkeypatch.setattr(limits, "memory_limit", lambda: 2 * GB)
    plan = plan_seats()
    assert plan == SeatPlan(seats=2, threads=2, memory_bytes=plan.memory_bytes)
    assert plan.memory_bytes >= 512 << 20


def test_memory_given_is_kept(machine):
    assert plan_seats(memory=5 * GB) == SeatPlan(seats=2, threads=2, memory_bytes=5 * GB)


def test_what_a_process_holds_is_counted_without_files(machine):
    status = "VmRSS:\t900 kB\nRssAnon:\t100 kB\nRssFile:\t790 kB\nRssShmem:\t10 kB\nVmSwap:\t5 kB\n"
    write(machine, {"proc/7/status": status})
    assert limits.used_bytes(7) == 115 << 10
    assert limits.used_bytes(8) == 0


def test_descendants_are_found_at_any_depth(machine):
    children = {1: "2 3", 2: "4", 3: "", 4: ""}
    write(machine, {f"proc/{pid}/task/{pid}/children": started for pid, started in children.items()})
    assert sorted(limits.descendants(1)) == [2, 3, 4]
