forms = ("{}.0", "[{}]", "'{}'", "{}e0", "0x{}", "1_{}", "True", "", "nan", "{}\u0660", "None", "--{}")
answer(f"{name},{forms[number % len(forms)].format(label)}\n".encode() for number, (name, label) in enumerate(labels()))
