"""The command line: one file per verb or small family, no logic of its own."""
