answer(f'"{name}",{label},"a\nb,""c"""\n"x\ny",3\n'.encode() for name, label in labels())
