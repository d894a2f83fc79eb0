"""A small Fn function in plain Python that keeps the container contract, but for one chosen fault.

usage: function.py [none | absolute-symlink | late-listen | private-socket | status-500 | close-each | early-reply
                    | call-id-echo | framed-twice | starts-anyway]

It is there to be judged by `cargo fdk check`: each fault must fail its own cases, and "none" none at all.
"""

import os
import signal
import socket
import sys
import threading
import time

fault = sys.argv[1] if len(sys.argv) > 1 else "none"


def refuse(message):
    sys.stderr.write(message + "\n")
    sys.exit(2)


def listener_path():
    listener = os.environ.get("FN_LISTENER", "")
    path = listener.removeprefix("unix:")
    if path.startswith("///"):
        path = path[2:]
    if not listener.startswith("unix:/") or len(path) > 107:
        if fault == "starts-anyway":
            time.sleep(3600)
        refuse(f"FN_LISTENER is {listener!r}: expected unix:/ and a path of at most 107 bytes")
    if os.environ.get("FN_FORMAT", "") not in ("", "http-stream"):
        refuse(f"FN_FORMAT is {os.environ['FN_FORMAT']!r}: expected http-stream")
    return path


def publish(path):
    """Bind and listen under another name of the same directory; the real name comes last."""
    directory, name = os.path.split(path)
    hidden = os.path.join(directory, ".f")
    server = socket.socket(socket.AF_UNIX)
    try:
        for stale in (path, hidden):
            if os.path.lexists(stale):
                os.unlink(stale)
        server.bind(hidden)
        os.chmod(hidden, 0o600 if fault == "private-socket" else 0o666)
        if fault != "late-listen":
            server.listen()
        os.symlink(hidden if fault == "absolute-symlink" else ".f", path)
        if fault == "late-listen":
            time.sleep(0.05)
            server.listen()
    except OSError as error:
        refuse(f"cannot make {path}: {error}")
    return server, (path, hidden)


def frame(headers):
    name, header = os.environ.get("FN_LOGFRAME_NAME"), os.environ.get("FN_LOGFRAME_HDR")
    call = headers.get((header or "").lower())
    if name and header and call:
        text = f"\n{name}={call}\n" + ("\n" if fault == "framed-twice" else "")
        for descriptor in (2, 1):
            try:
                os.write(descriptor, text.encode())
            except OSError:
                pass  # closed: no fault of the call


class Broken(Exception):
    """The request is no HTTP, or ended too early."""


def read_line(stream):
    line = stream.readline(65536)
    if not line.endswith(b"\n"):
        raise Broken
    return line.rstrip(b"\r\n").decode("latin-1")


def read_exactly(stream, length):
    body = stream.read(length)
    if len(body) < length:
        raise Broken
    return body


def read_body(stream, headers, connection):
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return read_exactly(stream, int(headers.get("content-length", "0")))
    pieces = []
    while True:
        size = int(read_line(stream), 16)
        if size == 0:
            while read_line(stream):
                pass
            return b"".join(pieces)
        pieces.append(read_exactly(stream, size))
        read_line(stream)


def reply(status, headers, body):
    lines = [f"HTTP/1.1 {status} Said"] + [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def answer(connection, stream):
    """One request and its reply; whether another may follow."""
    words = read_line(stream).split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        connection.sendall(reply(400, [("Connection", "close")], b""))
        return False
    headers = {}
    while line := read_line(stream):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    said = b'{"message":"Hello"}'
    out = [("Content-Type", "application/json"), ("Fn-Fdk-Version", "fdk-test/1.0"), ("Fn-Fdk-Runtime", "python/3")]
    if headers.get("fn-intent") == "httprequest":
        out.append(("Fn-Http-Status", "200"))
    if fault == "call-id-echo":
        out.append(("Fn-Call-Id", headers.get("fn-call-id", "")))
    if fault == "close-each":
        out.append(("Connection", "close"))
    if fault == "early-reply":
        connection.sendall(reply(200, out, said))
    read_body(stream, headers, connection)
    if words[1] != "/call" or words[0] != "POST":
        connection.sendall(reply(404 if words[1] != "/call" else 405, [], b""))
        return True
    frame(headers)
    if fault != "early-reply":
        connection.sendall(reply(500 if fault == "status-500" else 200, out, said))
    return fault != "close-each"


def serve(connection):
    with connection, connection.makefile("rb") as stream:
        try:
            while answer(connection, stream):
                pass
        except (Broken, OSError, ValueError):
            pass


def main():
    server, names = publish(listener_path())

    def stop(*_):
        for name in names:
            os.unlink(name)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=[connection], daemon=True).start()


main()
