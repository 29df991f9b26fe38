answer(f"{name},{label}\n\0\0\0\n\0,{label}\n".encode() for name, label in labels())
