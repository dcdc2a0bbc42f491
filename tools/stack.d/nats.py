"""NKeys for the local stack's NATS server, and a small client that proves that it answers.

Called by tools/stack and its tests; needs nothing but Python's standard library and openssl.

  nats.py keys DIR NAME...           make DIR/NAME.nk (seed) and DIR/NAME.pub (public key)
  nats.py request URL CA CERT KEY SEED SUBJECT [PAYLOAD]
                                     print the reply's payload; status 1 and the reason on refusal
  nats.py publish URL CA CERT KEY SEED SUBJECT [PAYLOAD]
                                     status 0 when the server took it, 1 and the reason when it refused

A CERT, KEY or SEED that is "-" is left out, to see the server refuse.
"""

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 5
PREFIX_SEED, PREFIX_USER = 18 << 3, 20 << 3
PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


def main(args):
    try:
        if args[:1] == ["keys"] and len(args) >= 3:
            return keys_make(args[1], args[2:])
        if args[:1] in (["request"], ["publish"]) and len(args) in (7, 8):
            return talk(args[0], args[1:6], args[6], (args[7:] or [""])[0].encode())
    except (OSError, Refused, ValueError, subprocess.CalledProcessError) as error:
        print(f"nats: {error}", file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


class Refused(Exception):
    """The server said no, or closed the connection."""


def keys_make(folder, names):
    for name in names:
        raw = os.urandom(32)
        public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER",
                         given=PKCS8_ED25519 + raw)[-32:]
        seed = bytes([PREFIX_SEED | PREFIX_USER >> 5, (PREFIX_USER & 31) << 3]) + raw
        file_write(f"{folder}/{name}.nk", nkey_text(seed) + "\n", 0o600)
        file_write(f"{folder}/{name}.pub", nkey_text(bytes([PREFIX_USER]) + public) + "\n", 0o644)
    return 0


def nkey_text(body):
    return base64.b32encode(body + crc16(body).to_bytes(2, "little")).decode().rstrip("=")


def crc16(data):
    """CRC-16/XMODEM, as the NKey format says."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def file_write(path, text, mode):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def openssl(*args, given=b""):
    return subprocess.run(["openssl", *args], input=given, capture_output=True, check=True,
                          timeout=TIMEOUT_SECONDS).stdout


def talk(verb, where, subject, payload):
    connection = Connection(*where)
    if verb == "publish":
        connection.send(f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n")
        connection.expect("+OK")
        return 0
    inbox = "_INBOX." + os.urandom(8).hex()
    connection.send(f"SUB {inbox} 1\r\n".encode())
    connection.expect("+OK")
    connection.send(f"PUB {subject} {inbox} {len(payload)}\r\n".encode() + payload + b"\r\n")
    connection.expect("+OK")
    print(connection.message().decode())
    return 0


class Connection:
    """One verbose NATS connection: every protocol line is answered by +OK or -ERR."""

    def __init__(self, url, authority, certificate, key, seed):
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), TIMEOUT_SECONDS)
        self.buffer = b""
        hello = json.loads(self.line().removeprefix("INFO "))
        if address.scheme == "tls":
            context = ssl.create_default_context(cafile=authority)
            if certificate != "-":
                context.load_cert_chain(certificate, key)
            self.socket = context.wrap_socket(self.socket, server_hostname=address.hostname)
        options = {"verbose": True, "pedantic": False, "lang": "python", "version": "1",
                   "protocol": 1, "headers": True, "no_responders": True}
        if seed != "-":
            options.update(nkey_answer(seed, hello["nonce"]))
        self.send(f"CONNECT {json.dumps(options)}\r\n".encode())
        self.expect("+OK")
        self.send(b"PING\r\n")
        self.expect("PONG")

    def send(self, data):
        self.socket.sendall(data)

    def expect(self, wanted):
        while True:
            line = self.line()
            if line.startswith("-ERR"):
                raise Refused(line)
            if line == wanted:
                return
            if line == "PING":
                self.send(b"PONG\r\n")
            elif not line.startswith(("INFO ", "+OK")):
                raise Refused(f"expected {wanted}, got {line}")

    def message(self):
        while True:
            line = self.line()
            words = line.split()
            if words[:1] == ["MSG"]:
                return self.exactly(int(words[-1]) + 2)[:-2]
            if words[:1] == ["HMSG"]:
                whole = self.exactly(int(words[-1]) + 2)[:-2]
                if whole.startswith(b"NATS/1.0 503"):
                    raise Refused("no responders")
                return whole[int(words[-2]):]
            if words[:1] == ["-ERR"]:
                raise Refused(line)

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode()

    def exactly(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise Refused("connection closed by the server")
        self.buffer += data


def nkey_answer(seed_file, nonce):
    """The public key and the nonce signed with the seed."""
    with open(seed_file, encoding="ascii") as file:
        text = file.read().strip()
    raw = base64.b32decode(text + "=" * (-len(text) % 8))[2:34]
    public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER",
                     given=PKCS8_ED25519 + raw)[-32:]
    # openssl signs Ed25519 only from files it can measure; the key is already in a file anyway.
    with tempfile.TemporaryDirectory() as folder:
        file_write_bytes(f"{folder}/key", PKCS8_ED25519 + raw)
        file_write_bytes(f"{folder}/nonce", nonce.encode())
        signature = openssl("pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey",
                            f"{folder}/key", "-in", f"{folder}/nonce")
    return {"nkey": nkey_text(bytes([PREFIX_USER]) + public),
            "sig": base64.urlsafe_b64encode(signature).decode().rstrip("=")}


def file_write_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
