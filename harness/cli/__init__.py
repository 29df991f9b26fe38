"""The command line: one file per command or small family, no logic of its own."""
