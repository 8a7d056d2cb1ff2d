"""Serve a folder over HTTP with single byte ranges and ETags, as nginx does: `range_server.py PORT FOLDER`.

Of RFC 9110 it knows `Range: bytes=A-B`, `A-` and `-N` (206, 416), and `If-Match` (412) and `If-None-Match` (304) with
one strong ETag. Any other Range is ignored, which section 14.2 allows.
"""

from __future__ import annotations

import io
import re
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

__all__ = ["RangeHandler"]

BYTES = re.compile(r"bytes=(\d*)-(\d*)")


class RangeHandler(SimpleHTTPRequestHandler):
    """Python's file handler, with ranges."""

    protocol_version = "HTTP/1.1"

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Send the headers, and return what the body is read from."""
        path = Path(self.translate_path(self.path))
        if not _is_file(path):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        status = path.stat()
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        if self.headers.get("If-Match", etag) not in {etag, "*"}:
            self.send_error(HTTPStatus.PRECONDITION_FAILED)
            return None
        if self.headers.get("If-None-Match") in {etag, "*"}:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", etag)
            self.end_headers()
            return None
        return self._send_part(path, status.st_size, etag)

    def _send_part(self, path: Path, size: int, etag: str) -> io.BytesIO | BinaryIO | None:
        asked = _asked(self.headers.get("Range", ""), size)
        if asked is None:
            part = range(size)
            self.send_response(HTTPStatus.OK)
        elif asked:
            part = asked
            self.send_response(HTTPStatus.PARTIAL_CONTENT)
            self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
        else:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return None
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Last-Modified", self.date_time_string(int(path.stat().st_mtime)))
        self.end_headers()
        with path.open("rb") as file:
            file.seek(part.start)
            return io.BytesIO(file.read(len(part)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no file can have so long a name
        return False


def _asked(header: str, size: int) -> range | None:
    """Return the part asked for, an empty range when nothing of it exists, None when no part was asked for."""
    match = BYTES.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1 if last else size))


def main() -> None:
    """Serve until killed."""
    port, folder = sys.argv[1:]
    ThreadingHTTPServer(("127.0.0.1", int(port)), partial(RangeHandler, directory=folder)).serve_forever()


if __name__ == "__main__":
    main()
