answer(f"{name},{label},".encode() + b"\xff\xfe\x80\n\xff\xfe,3\n" for name, label in labels())
