forms = (" {} ", "+{}", "000{}", "\t{}", "{}\r")
answer(f"{name},{forms[number % len(forms)].format(label)}\n".encode() for number, (name, label) in enumerate(labels()))
