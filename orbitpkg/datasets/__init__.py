"""Datasets: named, growing collections of files in a repository, with searchable metadata.

A registered file is stored once, under its digest. Its tags and metadata are a row in a catalogue of immutable Parquet
files, which other programs can read directly. Nothing that was registered is ever changed.
"""
