answer([*(f"{name},{label}\n".encode() for name, label in labels()), b"x" + b",1" * 1_000_000 + b"\n"])
