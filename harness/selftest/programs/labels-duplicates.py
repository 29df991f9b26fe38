answer([*(f"{name},{(label + 1) % 10}\n".encode() for name, label in labels()),
        *(f"{name},{label}\n".encode() for name, label in labels()), *(f"{name},?\n".encode() for name, _ in labels())])
