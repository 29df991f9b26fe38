answer([*(f"{name},{label}\n".encode() for name, label in labels()),
        *(f"{odd},{3}\n".encode() for odd in ("../x.png", "img-000.png", "img-000", "", "/etc/passwd", "x" * 4000))])
