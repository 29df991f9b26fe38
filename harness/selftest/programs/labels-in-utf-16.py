answer(["".join(f"{name},{label}\n" for name, label in labels()).encode("utf-16")])
