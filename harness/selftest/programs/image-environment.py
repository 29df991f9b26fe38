copy_all()
for name in ("LD_PRELOAD", "LD_AUDIT", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_REQUIRE_CUDA", "NVIDIA_DISABLE_REQUIRE", "NVIDIA_CONFIG_ONLY", "ROCR_VISIBLE_DEVICES"):
    attempt(name, lambda: name in os.environ)
attempt("all GPUs", lambda: os.environ.get("NVIDIA_VISIBLE_DEVICES") != "void" and os.environ.get("NVIDIA_VISIBLE_DEVICES"))
attempt("GPU devices", lambda: [entry for entry in os.listdir("/dev") if entry.startswith(("nvidia", "dri", "kfd"))])
complete()
