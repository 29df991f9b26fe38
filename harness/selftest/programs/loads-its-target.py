import importlib.util

TARGET = sys.argv[4]
with open(os.path.join(TARGET, "metadata.json")) as file:
    say("OPPONENT", re.search('"name": "([^"]*)"', file.read())[1])
copy_all()
spec = importlib.util.spec_from_file_location("whitebox", os.path.join(TARGET, "whitebox.py"))
module = importlib.util.module_from_spec(spec)
attempt("its target", lambda: spec.loader)
complete()
spec.loader.exec_module(module)
module.load(OUTPUT)
