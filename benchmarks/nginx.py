"""The yardstick of the data path: nginx, which serves and takes files in one folder."""

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# One worker, since one process of runcache is what it is compared with.
NOTE: Final = (
    "nginx: worker_processes 1, sendfile on, tcp_nopush on, dav PUT into the same RAM disk"
)

_CONFIGURATION: Final = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    aio off;
    client_max_body_size 0;
    client_body_temp_path {folder}/incoming;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            root {folder}/files;
            dav_methods PUT;
            create_full_put_path on;
        }}
    }}
}}
"""
_START_WITHIN_SECONDS: Final = 10


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve `folder/files` within the block, and yield the URL, without a final slash."""
    (folder / "files").mkdir(parents=True)
    port = _free_port()
    configuration = folder / "nginx.conf"
    # Only root may say who the workers are; else they are whoever started it.
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, user=user))
    errors = folder / "error.log"
    process = subprocess.Popen(["nginx", "-p", folder, "-c", configuration, "-e", errors])
    try:
        _wait_for(port, process, errors)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    message = f"nginx did not start: {errors.read_text() if errors.exists() else ''}"
    raise RuntimeError(message)
