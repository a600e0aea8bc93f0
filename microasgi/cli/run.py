"""`run`: the application in production. Everything that can be wrong is found before its start-up runs."""

from __future__ import annotations

import ipaddress
import ssl
from argparse import Namespace
from pathlib import Path

from microasgi.cli.complaints import Complaint
from microasgi.cli.loading import load
from microasgi.cli.ports import check_free, check_socket_file
from microasgi.cli.server import ServerOptions, require_server, serve
from microasgi.cli.targets import find_target

__all__ = ["read_options", "run"]


def run(arguments: Namespace) -> int:
    """Run the command: serve until a signal comes, then let what runs finish."""
    require_server()
    options = read_options(arguments)
    if arguments.uds:
        check_socket_file(arguments.uds)
    else:
        check_free(arguments.host, arguments.port)
    loaded = load(find_target(arguments.app, factory=arguments.factory))
    if arguments.workers > 1:
        serve(loaded.import_string, {**options, "factory": loaded.is_made})
    else:
        serve(loaded.app, options)
    return 0


def read_options(arguments: Namespace) -> ServerOptions:
    """Return the server's options; Complaint for those that contradict each other."""
    for file in filter(None, (arguments.ssl_certfile, arguments.ssl_keyfile)):
        if not Path(file).is_file():
            raise Complaint(f"there is no file {file}")
    if arguments.ssl_keyfile and not arguments.ssl_certfile:
        raise Complaint("--ssl-keyfile needs --ssl-certfile")
    if arguments.ssl_certfile:
        _check_certificate(arguments.ssl_certfile, arguments.ssl_keyfile)
    trusted: list[str] = arguments.trusted_proxies
    for proxy in trusted:
        _check_proxy(proxy)
    return {
        "host": arguments.host,
        "port": arguments.port,
        "uds": arguments.uds,
        "root_path": arguments.root_path,
        "workers": arguments.workers,
        "log_level": arguments.log_level,
        "access_log": arguments.access_log,
        "proxy_headers": bool(trusted),
        "forwarded_allow_ips": ",".join(trusted),
        "server_header": False,
        "timeout_graceful_shutdown": arguments.graceful_timeout,
        "ssl_certfile": arguments.ssl_certfile,
        "ssl_keyfile": arguments.ssl_keyfile,
    }


def _check_certificate(certificate: str, key: str | None) -> None:
    try:  # a key with a password is refused: nobody would be there to type it
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        why = "" if isinstance(error, ssl.SSLError) else f": {error.strerror}"
        files = f"{certificate} and {key} are no certificate and" if key else f"{certificate} is no certificate with"
        raise Complaint(f"{files} its key, as PEM without a password{why}") from None


def _check_proxy(proxy: str) -> None:
    try:
        ipaddress.ip_network(proxy)
    except ValueError:
        if proxy != "*":
            raise Complaint(f"{proxy!r} is no address: write --trusted-proxies 10.0.0.1,10.1.0.0/16") from None
