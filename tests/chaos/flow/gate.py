"""TCP proxies in a process of their own between relays and their broker, which can hold what the relays send, keep
back what the broker answers, and cut.

    gate.py UPSTREAM-PORT COUNT

Prints the proxies' ports, one line.  Each line on standard input, `VERB NUMBER`, is answered by one line:

    hold N   requests wait from now on     held N   how many bytes of them wait
    mute N   answers wait from now on      pass N   all goes through again
    cut N    closes the connections; later ones pass
"""
import array
import fcntl
import select
import signal
import socket
import sys
import termios
import threading

POLL_S = 0.005


class Gate:
    def __init__(self, upstream):
        self.upstream = upstream
        self.holds = self.mutes = False
        self.connections = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.upstream), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            for end in pair:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.add(pair)
            for source, target, waits in ((client, server, lambda: self.holds), (server, client, lambda: self.mutes)):
                threading.Thread(target=self.pump, args=(pair, source, target, waits), daemon=True).start()

    def pump(self, pair, source, target, waits):
        """What waits stays with the kernel, so the sender feels it when there is much."""
        try:
            while True:
                if not select.select([source], [], [], 1)[0]:
                    continue
                if waits():
                    threading.Event().wait(POLL_S)
                    continue
                data = source.recv(1 << 16)
                if not data:
                    break
                target.sendall(data)
        except (OSError, ValueError):
            pass
        self.close(pair)

    def close(self, pair):
        self.connections.discard(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def held(self):
        waiting = array.array("i", [0])
        total = 0
        for client, _ in list(self.connections):
            fcntl.ioctl(client, termios.FIONREAD, waiting)
            total += waiting[0]
        return total

    def do(self, verb):
        if verb == "held":
            return self.held()
        if verb == "cut":
            for pair in list(self.connections):
                self.close(pair)
        self.holds, self.mutes = verb == "hold", verb == "mute"
        return "ok"


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us ends us
    gates = [Gate(int(sys.argv[1])) for _ in range(int(sys.argv[2]))]
    print(*(gate.port for gate in gates), flush=True)
    for line in sys.stdin:
        verb, number = line.split()
        print(gates[int(number)].do(verb), flush=True)


if __name__ == "__main__":
    main()
