forms = ("9" * 5000, "-1", "99999999999999999999", "32767", "-9223372036854775808", "65536", "4294967296")
answer(f"{name},{forms[number % len(forms)]}\n".encode() for number, (name, _) in enumerate(labels()))
