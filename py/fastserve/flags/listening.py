"""Flags about ports: addresses, limits, TLS and tokens."""

from __future__ import annotations

from fastserve.config.server import MAX_GRPC_MESSAGE_BYTES
from fastserve.flags.flag import Flag, boolean, file_mode, integer, number, port

LISTENING: tuple[Flag, ...] = (
    Flag(
        "port",
        port,
        8500,
        "gRPC port; auto: any free one; 0: none with a socket path, else any free one",
    ),
    Flag("grpc_socket_path", str, "", "unix socket to listen on for gRPC, too or instead"),
    Flag(
        "grpc_socket_mode",
        file_mode,
        "",
        "permissions of its file, as 660; without it those that the umask leaves",
    ),
    Flag(
        "grpc_listen_addresses",
        str,
        "",
        "more addresses to listen on for gRPC, joined by commas: host:port or unix:path",
    ),
    Flag(
        "rest_api_port",
        port,
        0,
        "HTTP port; 0: no REST, auto: any free one",
        aliases=("rest_port",),
    ),
    Flag(
        "rest_api_timeout_in_ms",
        integer,
        30_000,
        "limit for the run of one REST request; 0 or less: none",
    ),
    Flag(
        "rest_api_enable_cors_support",
        boolean,
        False,
        "let pages of any origin read REST replies",
    ),
    Flag("rest_max_body_bytes", integer, 2**30, "longest body of a REST request"),
    Flag(
        "rest_header_timeout_seconds",
        number,
        20.0,
        "limit for the header of a REST request to come in; 0: none",
    ),
    Flag(
        "rest_body_timeout_seconds",
        number,
        30.0,
        "limit for the body of a REST request to come in, and a second more for each 1000 "
        "bytes; 0: none",
    ),
    Flag(
        "rest_server_timing",
        boolean,
        False,
        "replies have a Server-Timing header: how long queue, run and the other parts took",
    ),
    Flag(
        "rest_gzip_replies",
        boolean,
        False,
        "compress REST replies for clients whose Accept-Encoding admits gzip",
    ),
    Flag(
        "grpc_max_message_bytes",
        integer,
        MAX_GRPC_MESSAGE_BYTES,
        "longest message of a gRPC request",
    ),
    Flag(
        "use_alts_credentials",
        boolean,
        False,
        "refused when true: ALTS works among machines of Google's own only; --ssl_config_file "
        "secures the port with TLS",
    ),
    Flag(
        "ssl_config_file",
        str,
        "",
        "SSLConfig in text format: TLS on the gRPC port; read again when it changes and on SIGHUP",
    ),
    Flag("rest_ssl_config_file", str, "", "the same for the HTTP port"),
    Flag(
        "auth_token_file",
        str,
        "",
        "tokens, one a line, of which requests on both ports must bring one as `authorization: "
        "Bearer TOKEN`; read again when it changes and on SIGHUP. Administration is closed "
        "then, without the next flag",
    ),
    Flag(
        "admin_auth_token_file",
        str,
        "",
        "the same for reloads, capture and metrics; these tokens are good for all else too",
    ),
    *(
        Flag(f"grpc_{name}", parse, default, help_)
        for name, parse, default, help_ in (
            (
                "channel_arguments",
                str,
                "",
                "gRPC's settings, as grpc.max_connection_age_ms=60000,grpc.so_reuseport=1; "
                "they come before other flags of the same meaning",
            ),
            ("max_connections", integer, 10_000, "further ones are closed at once"),
            (
                "max_requests_in_flight",
                integer,
                100_000,
                "of all connections; further ones are answered with RESOURCE_EXHAUSTED",
            ),
            (
                "max_bytes_in_flight",
                integer,
                4 * 2**30,
                "of all connections' requests without an answer, and answers that wait for "
                "their clients; beyond half of it clients are slowed down, beyond it requests "
                "are answered with RESOURCE_EXHAUSTED",
            ),
            ("max_streams_per_connection", integer, 4096, "calls at the same time"),
            (
                "max_metadata_bytes",
                integer,
                64 * 2**10,
                "of one request: names, values, and 32 for each",
            ),
            (
                "handshake_timeout_seconds",
                number,
                10.0,
                "for the handshake of TLS; 0 or less: no limit",
            ),
            (
                "first_byte_timeout_seconds",
                number,
                20.0,
                "from there to the first frame of HTTP/2; 0 or less: no limit",
            ),
            (
                "stall_timeout_seconds",
                number,
                60.0,
                "how long answers wait for a client that takes next to nothing of them; 0 or "
                "less: no limit",
            ),
            (
                "max_buffered_bytes",
                integer,
                64 * 2**20,
                "while more of a connection's answers wait for its client, its calls wait too",
            ),
            (
                "max_resets_per_second",
                integer,
                1_000,
                "calls that one client may cancel; ten times that at once",
            ),
            (
                "max_control_frames_per_second",
                integer,
                100,
                "frames of HTTP/2 that make work but carry nothing; ten times that at once",
            ),
        )
    ),
    Flag("port_file", str, "", "file to write ports and process id to, as JSON, once ready"),
)
