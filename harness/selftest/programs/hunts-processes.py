# Other processes: the harness, the engine, other entries.
import ctypes

copy_all()
libc = ctypes.CDLL(None, use_errno=True)
mine = {os.getpid(), os.getppid()}
others = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) not in mine]
attempt("processes of others", lambda: [pid for pid in others if pid not in mine and pid > 1])
pid = int(planted("pid"))
attempt("the harness by its number", lambda: pid not in mine and os.kill(pid, 0) is None)
for path in ("root", "cwd", "mem", "environ"):
    attempt(f"/proc of the harness, {path}", lambda: pid not in mine and os.path.exists(f"/proc/{pid}/{path}"))
attempt("the init of the host by its root", lambda: os.path.lexists("/proc/1/root" + planted("canary")))
attempt("ptrace of another process", lambda: libc.ptrace(16, pid, 0, 0) == 0)


def reads_memory():
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    remote = (ctypes.c_void_p * 2)(0x400000, 8)
    return libc.process_vm_readv(pid, local, 1, remote, 1, 0) > 0


attempt("memory of another process", reads_memory)
attempt("pidfd of the harness", lambda: pid not in mine and syscall(434, pid, 0))
complete()
