# Every way out that a container could have.
import socket

behave()
port = int(planted("port"))


def connects(address, number):
    with socket.create_connection((address, number), timeout=1) as connection:
        return connection.recv(100) or "connected"


for address in dict.fromkeys((planted("address"), "172.17.0.1", "172.18.0.1", "10.0.0.1", "192.168.0.1", "127.0.0.1", "host.docker.internal", "gateway.docker.internal", planted("host"))):
    attempt(f"the host's port at {address}", lambda: connects(address, port))
    for number in (22, 80, 2375, 2376, 5000, 10250):
        if address in ("172.17.0.1", planted("address")):
            attempt(f"{address}:{number}", lambda: connects(address, number))
attempt("the metadata address", lambda: connects("169.254.169.254", 80))
attempt("the metadata address of ECS", lambda: connects("169.254.170.2", 80))
attempt("the world", lambda: connects("1.1.1.1", 443))
attempt("a name", lambda: socket.gethostbyname("example.com"))
for server in ("8.8.8.8", "127.0.0.11", "172.17.0.1"):
    def asks():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            query.settimeout(0.5)
            query.sendto(b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example\x03com\0\0\1\0\1", (server, 53))
            return query.recv(512)
    attempt("DNS at " + server, asks)
for family, address in (("IPv6", "::1"), ("IPv6 link", "fe80::1%eth0"), ("IPv6 world", "2606:4700:4700::1111")):
    attempt(family, lambda: connects(address, port))
attempt("interfaces beyond loopback", lambda: [name for _, name in socket.if_nameindex() if name not in ("lo", "sit0", "tunl0", "ip6tnl0", "ip_vti0", "ip6_vti0", "gre0", "gretap0", "erspan0", "ip6gre0")])
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/var/run/crio/crio.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", planted("socket")):
    def connects_to(path=path):
        # By its directory: a path may be longer than an address.
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
            return "connected"
    attempt("the socket " + path, connects_to)
for name in (planted("abstract"), "/tmp/.X11-unix/X0", "containerd-shim"):
    def connects_abstract(name=name):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect("\0" + name)
            return "connected"
    attempt("the abstract socket " + name, connects_abstract)
for name, family, kind, protocol in (("raw", socket.AF_INET, socket.SOCK_RAW, 1), ("packet", 17, socket.SOCK_RAW, 0x0300),
                                     ("vsock to the host", 40, socket.SOCK_STREAM, 0), ("bluetooth", 31, socket.SOCK_RAW, 1), ("alg", 38, 5, 0)):
    def opens(family=family, kind=kind, protocol=protocol, name=name):
        with socket.socket(family, kind, protocol) as made:
            if family == 40:
                made.settimeout(1)
                made.connect((2, port))
            elif family == 38:
                return ""  # the kernel's ciphers: no way out by themselves
            return "opened"
    attempt(f"a {name} socket", opens)
complete()
