answer([*(f"{name},{label}\n".encode() for name, label in labels()), b'"never closed,' + b"x" * 300_000])
