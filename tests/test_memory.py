"""Free memory of control groups, and the peak of a computation."""

import numpy as np
import pytest

from rar_tf import memory

GIB = 2**30


def group(folder, limit, used, cached, version=2):
    """Files of a control group, as the kernel shows them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else (
        "memory.limit_in_bytes", "memory.usage_in_bytes"
    )  # fmt: skip
    name = "inactive_file" if version == 2 else "total_inactive_file"
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{name} {cached}\n")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Folders in place of /proc and /sys/fs/cgroup: 10 GiB are free on the machine."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:  {10 * GIB // 1024} kB\n")
    (proc / "self/cgroup").write_text("")
    monkeypatch.setattr(memory, "_PROC", proc)
    monkeypatch.setattr(memory, "_CGROUPS", groups)
    return proc, groups


def test_without_limits_the_machine_decides(system):
    assert memory.free_bytes() == 10 * GIB


@pytest.mark.parametrize("place", ["/work/job", "/"])
def test_limit_of_a_group_less_what_is_used_but_for_the_cache(system, place):
    proc, groups = system
    (proc / "self/cgroup").write_text(f"0::{place}\n")
    group(groups / place.lstrip("/"), 8 * GIB, 3 * GIB, GIB)
    assert memory.free_bytes() == 6 * GIB


def test_limit_of_a_group_around(system):
    proc, groups = system
    (proc / "self/cgroup").write_text("0::/work/job\n")
    group(groups / "work/job", "max", 3 * GIB, 0)
    group(groups / "work", 4 * GIB, 3 * GIB, 0)
    assert memory.free_bytes() == GIB


def test_groups_of_the_first_version(system):
    proc, groups = system
    (proc / "self/cgroup").write_text("5:cpu:/a\n4:memory:/a\n0::/\n")
    group(groups / "memory/a", 2 * GIB, GIB, GIB // 2, version=1)
    assert memory.free_bytes() == 1.5 * GIB


def test_inside_a_container_the_limit_is_at_the_root(system):
    """The path is that of the host and does not exist here."""
    proc, groups = system
    (proc / "self/cgroup").write_text("0::/system.slice/docker-123\n")
    group(groups, 5 * GIB, 2 * GIB, 0)
    assert memory.free_bytes() == 3 * GIB


def test_a_system_that_does_not_say(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert memory.free_bytes() is None and memory.resident_bytes() is None
    with memory.peak_bytes() as peak:
        pass
    assert peak == []


def test_the_peak_shows_an_array():
    before = memory.resident_bytes()
    with memory.peak_bytes() as peak:
        np.ones(2**25).sum()  # 256 MiB
    assert 0.9 * 2**28 < peak[0] - before < 1.5 * 2**28


def test_words():
    assert (memory.text(1.5 * GIB), memory.text(3 * 2**20)) == ("1.5 GiB", "3 MiB")
