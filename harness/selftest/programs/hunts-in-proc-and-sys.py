# Places where the kernel's settings, or an escape, can be written or read.
behave()
for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory",
             "/proc/sysrq-trigger", "/proc/sys/fs/binfmt_misc/register", "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled",
             "/sys/power/state", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/rdma/release_agent",
             "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max",
             "/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cgroup.procs",
             "/proc/1/attr/exec", "/proc/self/attr/exec", "/proc/irq/default_smp_affinity", "/proc/bus/pci/devices", "/proc/asound",
             "/proc/fs/nfsd", "/proc/acpi/wakeup", "/sys/firmware/efi/efivars", "/proc/self/uid_map", "/proc/self/setgroups", "/proc/self/gid_map"):
    def writes(path=path):
        number = os.open(path, os.O_WRONLY)
        try:
            # Its own settings may be opened and not written. All others are never written: where the sandbox has a hole, the
            # host shall not suffer for it.
            return os.write(number, b"0") and "written" if path.startswith(("/proc/self/", "/proc/1/")) else "opened"
        finally:
            os.close(number)
    attempt("writing " + path, writes)
for path in ("/proc/kcore", "/proc/kmsg", "/dev/kmsg", "/dev/mem", "/dev/kmem", "/dev/port", "/proc/keys", "/proc/timer_list", "/proc/sched_debug",
             "/proc/latency_stats", "/proc/scsi/scsi", "/sys/firmware/dmi/tables/DMI", "/sys/kernel/debug/sched/features",
             "/sys/kernel/tracing/trace", "/sys/kernel/security/lsm", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/dm-0", "/dev/fuse",
             "/dev/kvm", "/dev/net/tun", "/dev/loop-control", "/dev/loop0", "/dev/vsock", "/dev/vhost-net", "/dev/mapper/control", "/dev/hpet", "/dev/tty0", "/dev/console"):
    attempt("reading " + path, lambda: bool(bytes_of(path, 64)))
attempt("devices beyond the usual", lambda: [entry for entry in os.listdir("/dev") if entry not in (
    "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero", "console")
    and not entry.startswith("nvidia")])
complete()
