"""What Sputnik and PyOrbital wrote, read as it is: their archives, and the places that hold those.

Sputnik (0.9.3 is its last release) packed directories into ``NAME-VERSION.sputnik``; an index server, or PyOrbital,
kept them as ``<ident>/meta.json`` and ``<ident>/archive.gz``. Nothing here writes either. Every byte is held against
the MD5 that its writer noted, every path against the rules for paths in packages, and what passes becomes a package
like any other: from there on it is held against BLAKE3.
"""
