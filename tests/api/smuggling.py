"""Requests with two readings, or none: raw bytes that some proxy reads differently from this server.

`HIDDEN` is the request that a smuggler hides inside another. Each case states the number of answers allowed: one (a
refusal, then the connection closes), and never two for one request.
"""

from __future__ import annotations

HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(
    *fields: bytes, body: bytes = b"", target: bytes = b"/v1/track", version: bytes = b"HTTP/1.1"
) -> bytes:
    lines = [b"POST " + target + b" " + version, b"Host: localhost", *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"
ENDED = b"0\r\n\r\n" + HIDDEN

LENGTHS = {
    "length and chunked": post(b"Content-Length: 6", CHUNKED, body=ENDED),
    "chunked and length": post(CHUNKED, b"Content-Length: 6", body=ENDED),
    "length 0 and chunked": post(b"Content-Length: 0", CHUNKED, body=ENDED),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 44", body=HIDDEN),
    "two equal lengths and more": post(b"Content-Length: 0", b"Content-Length: 00", body=HIDDEN),
    "a list of lengths": post(b"Content-Length: 0, 44", body=HIDDEN),
    "a negative length": post(b"Content-Length: -1", body=HIDDEN),
    "a signed length": post(b"Content-Length: +0", body=HIDDEN),
    "a hexadecimal length": post(b"Content-Length: 0x2c", body=HIDDEN),
    "a length with a point": post(b"Content-Length: 0.0", body=HIDDEN),
    "a length with an exponent": post(b"Content-Length: 4e1", body=HIDDEN),
    "a length with a letter": post(b"Content-Length: 0a", body=HIDDEN),
    "a length with a space inside": post(b"Content-Length: 4 4", body=HIDDEN),
    "a length in other digits": post("Content-Length: ٤٤".encode(), body=HIDDEN),
    "an empty length": post(b"Content-Length: ", body=HIDDEN),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551616", body=HIDDEN),
    "a length that wraps": post(b"Content-Length: 18446744073709551660", body=HIDDEN),
    "an underscore for a dash": post(b"Content-Length: 0", b"Content_Length: 44", CHUNKED, body=ENDED),
}
CODINGS = {
    "chunked twice": post(CHUNKED, CHUNKED, body=b"1\r\nZ\r\n" + ENDED),
    "chunked and identity": post(CHUNKED, b"Transfer-Encoding: identity", body=ENDED),
    "identity with a length": post(
        b"Transfer-Encoding: identity", b"Content-Length: 3", body=b"abc" + HIDDEN
    ),
    "chunked in a list": post(b"Transfer-Encoding: gzip, chunked", body=ENDED),
    "chunked not at the end": post(b"Transfer-Encoding: chunked, gzip", body=ENDED),
    "chunked spelt otherwise": post(b"Transfer-Encoding: xchunked", body=ENDED),
    "chunked with a tab": post(b"Transfer-Encoding:\tchunked", b"Content-Length: 6", body=ENDED),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=ENDED),
    "chunked with a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=ENDED),
    "chunked with a comma": post(b"Transfer-Encoding: chunked,", b"Content-Length: 6", body=ENDED),
    "chunked with a zero byte": post(b"Transfer-Encoding: chunked\0", body=ENDED),
    "a space before the colon": post(b"Transfer-Encoding : chunked", b"Content-Length: 6", body=ENDED),
    "a space before the name": post(b" Transfer-Encoding: chunked", b"Content-Length: 6", body=ENDED),
    "the name on two lines": post(b"Transfer-Encoding:\r\n chunked", b"Content-Length: 6", body=ENDED),
    "a return in the name": post(b"Foo: x\rTransfer-Encoding: chunked", body=ENDED),
    "a feed in the value": post(b"Foo: x\nTransfer-Encoding: chunked", b"Content-Length: 6", body=ENDED),
    "chunked of an old version": post(CHUNKED, b"Content-Length: 6", body=ENDED, version=b"HTTP/1.0"),
}
CHUNKS = {
    "an invalid size": post(CHUNKED, body=b"zz\r\n" + ENDED),
    "a negative size": post(CHUNKED, body=b"-1\r\n" + ENDED),
    "a size with 0x": post(CHUNKED, body=b"0x0\r\n\r\n" + HIDDEN),
    "a size beyond 64 bits": post(CHUNKED, body=b"10000000000000000\r\n\r\n" + HIDDEN),
    "a size that wraps": post(CHUNKED, body=b"fffffffffffffffff0\r\n\r\n" + HIDDEN),
    "a size with a plus": post(CHUNKED, body=b"+0\r\n\r\n" + HIDDEN),
    "a size with a space before": post(CHUNKED, body=b" 0\r\n\r\n" + HIDDEN),
    "a size with an underscore": post(CHUNKED, body=b"1_0\r\n" + b"a" * 16 + b"\r\n" + ENDED),
    "a chunk longer than it says": post(CHUNKED, body=b"3\r\nabcd\r\n" + ENDED),
    "a chunk without its end": post(CHUNKED, body=b"3\r\nabc0\r\n\r\n" + HIDDEN),
    "a chunk ended by a feed": post(CHUNKED, body=b"3\nabc\n0\n\n" + HIDDEN),
    "a chunk ended by a return": post(CHUNKED, body=b"3\rabc\r0\r\r" + HIDDEN),
    "an extension with a feed": post(CHUNKED, body=b"3;a\nb\r\nabc\r\n" + ENDED),
}
HEADS = {
    "feeds for line ends": b"POST /v1/track HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n" + HIDDEN,
    "returns for line ends": b"POST /v1/track HTTP/1.1\rHost: localhost\rContent-Length: 0\r\r" + HIDDEN,
    "no host": b"POST /v1/track HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "two hosts": post(b"Host: evil.example", b"Content-Length: 0", body=HIDDEN),
    "a header without a name": post(b": x", b"Content-Length: 0", body=HIDDEN),
    "a header without a colon": post(b"Content-Length", body=HIDDEN),
    "a zero byte in a name": post(b"X\0Y: z", b"Content-Length: 0", body=HIDDEN),
    "a zero byte in a value": post(b"X: y\0z", b"Content-Length: 0", body=HIDDEN),
    "a letter beyond ASCII in a name": post("Cöntent-Length: 0".encode(), b"Content-Length: 0", body=HIDDEN),
    "brackets in a name": post(b"X(y): z", b"Content-Length: 0", body=HIDDEN),
    "an unknown version": post(b"Content-Length: 0", body=HIDDEN, version=b"HTTP/1.9"),
    "version 2": post(b"Content-Length: 0", body=HIDDEN, version=b"HTTP/2.0"),
    "no version": b"GET /healthz\r\n\r\n" + HIDDEN,
    "a space in the target": post(b"Content-Length: 0", body=HIDDEN, target=b"/v1/track x"),
    "another protocol asked for": post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                                       b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Content-Length: 0", body=HIDDEN),
    "a socket asked for": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + HIDDEN,
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a tunnel": b"CONNECT localhost:7700 HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + HIDDEN,
}  # fmt: skip
CASES = {**LENGTHS, **CODINGS, **CHUNKS, **HEADS}
