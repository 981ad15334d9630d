"""Proxies with TLS in front of servers, set up as our files and pages say."""

import getpass
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runcache.testing import LiveServer
from tests.conformance.programs import found
from tests.documentation import ROOT, example_of
from tests.server.certificate import make_certificate

_READY_WITHIN_SECONDS: Final = 20
_NGINX: Final = """
{user}
daemon off;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{documented}
}}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs. `url` has a final slash, `authority` is what vouches for it."""

    url: str
    authority: Path

    def connection(self) -> HTTPSConnection:
        """Return a connection to it, which the caller closes."""
        context = ssl.create_default_context(cafile=str(self.authority))
        return HTTPSConnection(urlsplit(self.url).netloc, timeout=20, context=context)

    def status_of(self, path: str) -> int:
        """Return what it answers to a GET."""
        with closing(self.connection()) as connection:
            connection.request("GET", path)
            return connection.getresponse().status


Started = Callable[[Path, Sequence[LiveServer]], AbstractContextManager[Proxy]]


@contextmanager
def caddy(
    folder: Path, servers: Sequence[LiveServer], *, netloc: str | None = None
) -> Iterator[Proxy]:
    """Run Caddy with the file that compose.yaml gives to it, at `netloc` or on a free port."""
    certificate, key = make_certificate(folder)
    netloc = netloc or f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "RUNCACHE_SITE": f"https://{netloc}",
        "RUNCACHE_TLS": f"{certificate} {key}",
        "RUNCACHE_REPLICAS": " ".join(urlsplit(server.url).netloc for server in servers),
    }
    file = ROOT / "deploy/proxy/Caddyfile"
    command = (found("caddy"), "run", "--adapter", "caddyfile", "--config", file)
    with _running(command, folder / "log", environment) as process:
        yield _once_ready(Proxy(f"https://{netloc}/", certificate), process, folder / "log")


@contextmanager
def nginx(folder: Path, servers: Sequence[LiveServer]) -> Iterator[Proxy]:
    """Run nginx with the example of the documentation, in front of the one server."""
    certificate, key = make_certificate(folder)
    netloc = f"127.0.0.1:{free_port()}"
    (server,) = servers
    documented = (
        example_of("operating.md", "nginx")
        .replace("127.0.0.1:8480", urlsplit(server.url).netloc)
        .replace("listen 443", f"listen {netloc}")
        .replace("/etc/nginx/cache.example.com.pem", str(certificate))
        .replace("/etc/nginx/cache.example.com.key", str(key))
    )
    # Only root may say who the workers are; else they are whoever started it.
    user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(user=user, folder=folder, documented=documented))
    command = (found("nginx"), "-p", folder, "-c", file, "-e", folder / "errors")
    with _running(command, folder / "log", dict(os.environ)) as process:
        yield _once_ready(Proxy(f"https://{netloc}/", certificate), process, folder / "log")


@contextmanager
def _running(
    command: Sequence[str | Path], log: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _once_ready(proxy: Proxy, process: subprocess.Popen[bytes], log: Path) -> Proxy:
    give_up_at = time.monotonic() + _READY_WITHIN_SECONDS
    while True:
        try:
            proxy.status_of("/healthz")
        except OSError:
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"the proxy did not start:\n{log.read_text()}") from None
            time.sleep(0.02)
        else:
            return proxy


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
