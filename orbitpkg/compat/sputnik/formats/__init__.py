"""Readers for the archives and repositories of Sputnik and PyOrbital.

Sputnik (its last release is 0.9.3) packed directories into ``NAME-VERSION.sputnik``. An index server, or PyOrbital,
stored them as ``<ident>/meta.json`` and ``<ident>/archive.gz``, where an ident is ``NAME-VERSION``. This package writes
neither format. It checks every file against the digest in its ``meta.json`` and every path against the rules for
packages. The result is an ordinary package, verified by BLAKE3 from then on.
"""
