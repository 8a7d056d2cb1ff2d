"""A program with mistakes. Each line with a mistake names the errors that mypy and pyright report for it."""

from __future__ import annotations

import orbitpkg
from orbitpkg import assemblies, remote

orbitpkg.packge("digits")  # mypy: attr-defined  pyright: reportAttributeAccessIssue
remote.opne("s3://bucket/key")  # mypy: attr-defined  pyright: reportAttributeAccessIssue
assemblies.get_assemblies()  # mypy: attr-defined  pyright: reportAttributeAccessIssue

orbitpkg.package(1)  # mypy: arg-type  pyright: reportArgumentType
orbitpkg.install("digits", versoin="1.0.0")  # mypy: call-arg  pyright: reportCallIssue
orbitpkg.install("digits", offline="yes")  # mypy: arg-type  pyright: reportArgumentType
orbitpkg.remove("digits").freed  # mypy: attr-defined  pyright: reportAttributeAccessIssue

package = orbitpkg.package("digits")
package.version = 1  # mypy: assignment  pyright: reportAttributeAccessIssue
package.digest.decode()  # mypy: attr-defined  pyright: reportAttributeAccessIssue
package.open("labels.txt", mode="w")  # mypy: call-overload  pyright: reportCallIssue, reportArgumentType
package.open("weights.bin", mode="rb", encoding="")  # mypy: call-overload  pyright: reportCallIssue, reportArgumentType
data: bytes = package.open("labels.txt").read()  # mypy: assignment  pyright: reportAssignmentType
text: str = package.open("weights.bin", mode="rb").read()  # mypy: assignment  pyright: reportAssignmentType
package.metadata["metrics"] = 1  # mypy: index  pyright: reportIndexIssue
accuracy: float = package.metadata["accuracy"]  # mypy: assignment  pyright: reportAssignmentType

raw: bytes = remote.open("s3://bucket/key").read()  # mypy: assignment  pyright: reportAssignmentType
remote.open("s3://bucket/key", "rb", encoding="")  # mypy: call-overload  pyright: reportArgumentType
remote.stat("s3://bucket/key").bytes  # mypy: attr-defined  pyright: reportAttributeAccessIssue
