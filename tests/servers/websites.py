"""Plain web servers over a folder: nginx, and two of Python's, with ranges and without."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.processes import HOST, StaticSite, find_program, http_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["nginx_site", "python_site", "rangeless_site"]

HOW_TO_GET_NGINX = "apt-get install --no-install-recommends nginx-light"

# With two workers, the server does not limit the client. The compiled-in paths of temporary files are not writable for
# all users.
NGINX_CONFIGURATION = """\
daemon off;
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port};
        root {folder}/site;
    }}
}}
"""


@contextmanager
def nginx_site(folder: Path) -> Iterator[StaticSite]:
    """Run nginx over a new folder in `folder`.

    Raises:
        ServerMissing: It is not installed.
        ServerFailed: It did not come up.
    """
    nginx = find_program("nginx", how_to_get=HOW_TO_GET_NGINX)
    # Otherwise, root's nginx would read as the user "nobody", who cannot enter root's temporary directories.
    user = "user root;" if os.geteuid() == 0 else ""

    def command(port: int) -> list[str | Path]:
        settings = folder / "nginx.conf"
        settings.write_text(NGINX_CONFIGURATION.format(user=user, folder=folder, host=HOST, port=port))
        # -e: where it complains before it has read its settings; the default is not for everybody to write.
        return [nginx, "-c", settings, "-p", folder, "-e", "stderr"]

    with _site(folder, command) as site:
        yield site


@contextmanager
def python_site(folder: Path) -> Iterator[StaticSite]:
    """Run a server of Python's that answers ranges as nginx does, over a new folder in `folder`.

    Raises:
        ServerFailed: It did not come up.
    """
    script = Path(__file__).with_name("range_server.py")
    with _site(folder, lambda port: [sys.executable, script, str(port), folder / "site"]) as site:
        yield site


@contextmanager
def rangeless_site(folder: Path) -> Iterator[StaticSite]:
    """Run Python's own `http.server` over a new folder in `folder`: it gives the whole file whatever was asked.

    Raises:
        ServerFailed: It did not come up.
    """
    serve = [sys.executable, "-m", "http.server", "--bind", HOST, "--directory", str(folder / "site")]
    with _site(folder, lambda port: [*serve, str(port)]) as site:
        yield site


@contextmanager
def _site(folder: Path, command: Callable[[int], Sequence[str | Path]]) -> Iterator[StaticSite]:
    root = folder / "site"
    root.mkdir()
    with http_program(folder / "site.log", command) as port:
        yield StaticSite(url=f"http://{HOST}:{port}", root=root)
