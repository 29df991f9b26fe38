"""The filter as the engine gets it; that the kernel keeps to it is for the rows of the corpus that hunt with system calls."""

from __future__ import annotations

import json

import pytest

from harness.sandbox.docker import seccomp

#: What the engine's default refuses to a container without capabilities (20.10 to today), and what ours refuses beyond that.
ENGINES = """
    acct add_key bpf chroot clock_settime clock_settime64 create_module delete_module fanotify_init finit_module fsconfig
    fsmount fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm
    iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages
    nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise query_module quotactl
    quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday stime
    swapoff swapon sysfs syslog _sysctl umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old vserver"""
OURS = """
    cachestat fanotify_mark inotify_add_watch inotify_init inotify_init1 io_cancel io_destroy io_getevents io_pgetevents
    io_setup io_submit memfd_secret mincore name_to_handle_at preadv2 pwritev2 socketcall"""


def rules(name: str) -> list[dict]:
    return [rule for rule in seccomp.profile()["syscalls"] if name in rule["names"]]


def allows(name: str, index: int, value: int) -> bool:
    """Whether a call with this argument is let through."""
    return any(rule["args"][0]["index"] == index and value & rule["args"][0]["value"] == rule["args"][0]["valueTwo"]
               for rule in rules(name))


@pytest.mark.parametrize("name", [*ENGINES.split(), *OURS.split()])
def test_is_refused(name: str) -> None:
    assert seccomp.profile()["defaultAction"] == "SCMP_ACT_ERRNO"
    assert all(rule["action"] == "SCMP_ACT_ERRNO" and rule["errnoRet"] > 0 for rule in rules(name))


@pytest.mark.parametrize(("name", "index", "right", "wrong"), [
    ("madvise", 2, (0, 4, 8, 14, 22), (12, 20, 21, 25, 100)),
    ("socket", 0, (1, 2, 10, 16), (17, 38, 40)),
    ("personality", 0, (0, 8, 0x20000, 0xFFFFFFFF), (4, 0x40000, 0x400000)),
    ("prctl", 0, (1, 4, 15, 22, 38, 66, 68, 0x53564D41), (67,)),
    ("clone", 0, (17, 0x3D0F00), (0x10000000, 0x20000, 0x40000000, 0x3D0F00 | 0x2000000)),
])
def test_an_argument_is_compared_as_the_kernel_reads_it(name, index, right, wrong) -> None:
    for high in (0, 1 << 32):
        assert all(allows(name, index, value | high) for value in right)
        assert not any(allows(name, index, value | high) for value in wrong)


def test_advice_on_files_is_taken_and_not_followed() -> None:
    assert [(rule["action"], rule["errnoRet"]) for rule in rules("fadvise64")] == [("SCMP_ACT_ERRNO", 0)]


def test_a_call_has_one_kind_of_answer() -> None:
    """Two answers to one call are for the engine's library to choose from."""
    allowed = {name for rule in seccomp.profile()["syscalls"] for name in rule["names"] if rule["action"] == "SCMP_ACT_ALLOW"}
    refused = {name for rule in seccomp.profile()["syscalls"] for name in rule["names"] if rule["action"] != "SCMP_ACT_ALLOW"}
    assert not allowed & refused
    assert not any("args" not in rule for name in ("madvise", "socket", "prctl", "clone", "personality") for rule in rules(name))


def test_the_engine_gets_it_as_one_option() -> None:
    name, _, text = seccomp.option().partition("=")
    assert name == "seccomp"
    assert json.loads(text) == seccomp.profile()
