"""The hostile corpus: what a submission may try, each as one small program, and what must happen on this host.

``table/`` says what is tried and expected, ``programs/`` holds the programs, ``contest.py`` runs all of them in one tournament with
honest entries, ``judge.py`` compares. It proves nothing that a row does not try; ``docs/threat-model.md`` says what that leaves
open.
"""
