"""Datasets: named, growing collections of files in a repository, with metadata that can be searched.

What is registered is stored under its digest, once; what somebody says of it is a row of a catalogue of immutable
Parquet files beside it, which other programs read as it is.
"""
