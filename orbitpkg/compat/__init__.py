"""The APIs and formats of other package managers on top of orbitpkg, for apps that keep their code unchanged.

Each module provides another tool's names, arguments and exceptions. These modules read that tool's files but never
write its formats. No other package of orbitpkg imports them: formats are registered as plug-ins.
"""
