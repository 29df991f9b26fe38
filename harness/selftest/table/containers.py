"""Docker images that are built to get more than a submission's rights, or to get in the way."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Count, Row, one_of

_OK, _FAILED = one_of(Outcome.OK), one_of(Outcome.START_FAILED)
_BEHAVES = "image-behaves.py"

#: Places where a volume would be in the way of the engine, the kernel's file systems, or our own mounts.
_ODD_VOLUMES = {
    "root": "/", "proc": "/proc", "proc-self": "/proc/self", "sys": "/sys", "dev": "/dev", "dots": "/../../etc",
    "tmp": "/tmp/x",  # noqa: S108 - in the image
    "input": "/input_images/x", "its-program": "/opt/entry", "a-file": "/etc/passwd", "below-a-file": "/etc/passwd/x",
    "a-long-path": "/" + "x" * 300, "a-path-with-colon": "/a:b,c=d", "a-relative-path": "relative",
}


def _image(name: str, tries: str, outcomes: frozenset[Outcome] = _OK, usable: Count = "all", *, program: str = _BEHAVES,
           config: object = None, **options: object) -> Row:
    return Row(name, tries, outcomes, usable, program=program, build="image", profile="strict",
               hunts=outcomes == _OK, options={"config": config or {}, **options})


def _base(name: str, tries: str, *outcomes: Outcome, usable: Count = "none", config: object = None, **options: object) -> Row:
    """A directory on an image of its author's own."""
    return Row(name, tries, one_of(*outcomes), usable, program="behaves.py", build="base",
               options={"config": config or {}, **options})


ROWS = (
    _image("image-with-entrypoint", "comes as a plain image with an ENTRYPOINT and a CMD", config={"Cmd": ["ignored"]}),
    _image("image-with-command", "comes with a CMD only", config={"Entrypoint": [], "Cmd": ["/opt/entry/run"]}),
    Row("image-without-shell", "comes without a shell, a libc or any other file", one_of(Outcome.EXITED_NONZERO), "none",
        build="scratch", profile="strict", check="exit_code_7"),
    # Where the host emulates the other architecture, the program runs as it would there.
    Row("image-for-another-architecture", "comes for another architecture",
        one_of(Outcome.START_FAILED, Outcome.EXITED_NONZERO), "none", build="scratch", profile="strict", options={"foreign": True}),
    _image("image-with-user", "names root as its user", config={"User": "0:0"}),
    _image("image-with-volume-over-output", "declares volumes over its input and output",
           config={"Volumes": {"/output_images": {}, "/input_images": {}}}),
    _image("image-with-volume", "declares a volume, which the engine would make without a bound, and fills it",
           program="image-fills-its-volume.py", config={"Volumes": {"/data": {}}}),
    *(_image(f"image-with-volume-at-{name}", f"declares a volume at {path[:40]}",
             one_of(Outcome.OK, Outcome.START_FAILED, Outcome.EXITED_NONZERO), "any", config={"Volumes": {path: {}}})
      for name, path in _ODD_VOLUMES.items()),
    _image("image-with-a-thousand-volumes", "declares a thousand volumes",
           one_of(Outcome.OK, Outcome.START_FAILED, Outcome.EXITED_NONZERO), "any",
           config={"Volumes": {f"/volume-{number}": {} for number in range(1000)}}),
    _image("image-with-huge-environment", "sets 200 variables of 100,000 characters",
           one_of(Outcome.OK, Outcome.START_FAILED, Outcome.EXITED_NONZERO), "any",
           config={"Env": [f"V{number}={'x' * 100_000}" for number in range(200)]}),
    _image("image-with-huge-argument", "starts with an argument of 200,000 characters", _FAILED, "none",
           config={"Entrypoint": ["/opt/entry/run", "x" * 200_000]}),
    _image("image-with-odd-environment", "sets variables without a name, with line ends, and the interpreter's own",
           one_of(Outcome.OK, Outcome.START_FAILED, Outcome.EXITED_NONZERO), "any",
           config={"Env": ["=x", "A\nB=c", "PYTHONHOME=/nowhere", "LD_LIBRARY_PATH=/nowhere", "HOME=/nowhere", "PATH="]}),
    _image("image-with-healthcheck", "declares a health check, which would run beside the program",
           program="image-waits-for-its-health-check.py",
           config={"Healthcheck": {"Test": ["CMD", "touch", "/dev/shm/healthy"], "Interval": 300_000_000}}),  # noqa: S108 - inside the container
    _image("image-with-environment", "sets NVIDIA_VISIBLE_DEVICES=all, LD_PRELOAD and others for hooks of the host",
           program="image-environment.py",
           config={"Env": ["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all", "NVIDIA_REQUIRE_CUDA=cuda>=1",
                           "NVIDIA_DISABLE_REQUIRE=1", "NVIDIA_CONFIG_ONLY=1", "LD_PRELOAD=/opt/entry/evil.so",
                           "LD_AUDIT=/opt/entry/evil.so", "ROCR_VISIBLE_DEVICES=all"]}),
    _image("image-with-stop-signal", "names a signal that it ignores for its end", one_of(Outcome.TIME_LIMIT),
           program="image-stop-signal.py", config={"StopSignal": "SIGWINCH"}),
    _image("image-with-set-uid-program", "brings a set-uid program", program="image-set-uid.py", elf={"/opt/entry/uid": 0o4755}),
    _image("image-with-forged-labels", "carries the harness's own labels, of another run and a dead owner",
           config={"Labels": {"harness": "1", "harness.owner": "dead:1:1", "harness.tournament": "another", "harness.run": "1"}}),
    *(_image(f"image-with-workdir-in-descriptor-{number}",
             f"names /proc/self/fd/{number} as its working directory (CVE-2024-21626)",
             one_of(Outcome.START_FAILED, Outcome.OK), "any", program="image-workdir.py",
             config={"WorkingDir": f"/proc/self/fd/{number}"}) for number in (7, 8, 9)),
    _image("image-with-workdir-below-a-file", "names a working directory below a file", _FAILED, "none",
           config={"WorkingDir": "/etc/passwd/x"}),
    _image("image-with-workdir-of-a-long-name", "names a working directory of 300 characters", _FAILED, "none",
           config={"WorkingDir": "/" + "x" * 300}),
    _image("image-with-workdir-in-a-loop", "names a link to itself as its working directory", _FAILED, "none",
           config={"WorkingDir": "/loop/x"}, links={"/loop": "/loop"}),
    _image("image-with-file-for-output", "has a file in the place of its output", _FAILED, "none",
           files={"/output_images": "a file"}),
    _image("image-with-link-for-output", "has a link to /etc in the place of its output",
           one_of(Outcome.OK, Outcome.START_FAILED), "any", links={"/output_images": "/etc"}),
    _image("image-with-link-out-for-output", "has a link out of the container in the place of its output",
           one_of(Outcome.OK, Outcome.START_FAILED, Outcome.EXITED_NONZERO), "any",
           links={"/output_images": "../../../../../../{outside}"}),
    _image("image-with-link-for-proc", "has a link in the place of /proc", one_of(Outcome.START_FAILED, Outcome.OK), "any",
           links={"/proc": "/var"}),
    _image("image-that-starts-nowhere", "starts a program that does not exist", _FAILED, "none",
           config={"Entrypoint": ["/nowhere"]}),
    Row("image-that-starts-nothing", "has neither an ENTRYPOINT nor a CMD", _FAILED, "none", build="scratch", profile="strict",
        options={"starts": False}),
    _base("base-with-file-for-code", "brings a base image with a file in the place of /code", Outcome.OK,
          Outcome.START_FAILED, usable="any", files={"/code": "a file"}),
    _base("base-with-link-for-code", "brings a base image with a link to /etc in the place of /code", Outcome.OK,
          Outcome.START_FAILED, usable="any", links={"/code": "/etc"}),
    _base("base-with-link-out-for-code", "brings a base image with a link out of it in the place of /code", Outcome.OK,
          Outcome.START_FAILED, usable="any", links={"/code": "../../../../{outside}"}),
    _base("base-with-volume-for-code", "brings a base image with a volume over /code", Outcome.IMAGE_MISSING,
          config={"Volumes": {"/code": {}}}),
    _base("base-without-anything", "brings a base image that holds nothing", Outcome.START_FAILED, whole=False),
    Row("base-that-is-a-code-image", "names the image that the harness made of another entry's code", program="behaves.py",
        build="on_code_image", sentence="made of a submission"),
    Row("base-at-an-address", "names a host and port that it wants the engine to connect to", program="behaves.py",
        build="at_an_address", sentence="not on this host"),
    Row("image-that-is-not-there", "names an image that nobody has", one_of(Outcome.IMAGE_MISSING), "none", program="behaves.py",
        options={"container": "localhost/harness-selftest-no-such-image:1"}),
)
