"""What things are: names, versions, requirements, manifests, releases, contents.

Pure: nothing in this room touches a disk, a network, a clock or the environment (a schema that ships with the code
is part of the code). This module imports nothing, so that each of the others costs only itself.
"""
