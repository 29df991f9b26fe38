# Its own mounts: where they come from, what lies beside them, and whether they say which run this is.
import re

behave()
with open("/proc/self/mountinfo") as file:
    mounts = [line.split() for line in file]
inside = {fields[4] for fields in mounts}
for fields in mounts:
    point, origin, options = fields[4], fields[3], fields[5]
    look("the mount at " + point, bytes_of(point))
    attempt(f"a run's number in {origin}", lambda: re.search(r"run-\d+(-\d+)?(/|$)", origin) and origin)
    kind = fields[fields.index("-") + 1]
    if point not in ("/", "/input_images", "/output_images", "/output_data", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"):
        attempt(f"a mount of a disk at {point}", lambda: kind in ("ext4", "xfs", "btrfs", "zfs", "nfs", "9p", "virtiofs"))
for point in ("/input_images",):
    attempt("writing into the input", lambda: os.close(os.open(point + "/new", os.O_CREAT | os.O_WRONLY)) or "written")
    attempt("changing an input", lambda: os.chmod(source(names()[0]), 0o777) or "changed")
    attempt("removing an input", lambda: os.unlink(source(names()[0])) or "removed")
attempt("anything in the input but images and targets", lambda: [name for name in os.listdir(INPUT) if not name.endswith(".png") and name != "target_class.csv"])
attempt("an execution from the output", lambda: os.path.ismount(os.path.dirname(OUTPUT) if not EPSILON else OUTPUT) and not any(
    fields[4] in OUTPUT and "noexec" in fields[5] for fields in mounts))
complete()
