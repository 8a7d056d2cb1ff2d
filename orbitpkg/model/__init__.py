"""The values that orbitpkg works with: names, versions, requirements, manifests, releases, contents, lockfiles.

Everything here is pure. Text or bytes go in, a validated value comes out, and each value can be written back. Nothing
reads a disk, a network, a clock or the environment, except for the JSON schemas that ship with the code.

This module imports nothing, to keep the cost of importing a single submodule low.
"""
