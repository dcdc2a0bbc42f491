"""Who writes: real calls through the replicas, and the bulk writer.  Both leave what they were told in books."""
import mmap
import pathlib
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "crash"))

from crash import Writer  # noqa: E402  (compiles the protos, too)
import books  # noqa: E402

PAUSE_S = 0.12  # a call costs ten times what an event of the bulk writer does
CONTROL = ("budget", "stop", "begun", "committed", "refused", "unknown", "open", "ready")


class Bulk:
    """The process of writer.c; it writes what the budget allows."""

    def __init__(self, program, folder, seed, threads=6, tenants=240, batch=12, pause_us=4000):
        self.folder = folder
        folder.mkdir(parents=True)
        path = folder / "control"
        path.write_bytes(bytes(8 * len(CONTROL)))
        with open(path, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), 8 * len(CONTROL))
        self.process = subprocess.Popen([program, path, folder, *map(str, (seed, threads, tenants, batch, pause_us))],
                                        stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not self.value("ready"):
            assert self.process.poll() is None, "the bulk writer does not start"
            assert time.monotonic() < end, "the bulk writer makes no tenants"
            time.sleep(0.05)

    def value(self, name):
        return struct.unpack_from("<Q", self.control, 8 * CONTROL.index(name))[0]

    def set(self, name, value):
        struct.pack_into("<Q", self.control, 8 * CONTROL.index(name), value)

    def release(self, events):
        """So many more from now on; what was left of the budget before is dropped."""
        self.set("budget", self.value("begun") + events)

    def is_done(self):
        """The budget is spent, but for less than a transaction."""
        return self.value("open") == 0 and self.value("begun") + 16 >= self.value("budget")

    def stop(self):
        self.set("stop", 1)
        status = self.process.wait(60)
        assert status == 0, f"the bulk writer ended with status {status}"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Caller(Writer):
    """A writer of the crash suite with pauses, and whose death does not pass unseen."""

    def write(self):
        super().write()
        time.sleep(self.random.uniform(0, 2 * PAUSE_S))

    def run(self):
        try:
            super().run()
        except Exception as error:
            self.world.surprises.append(f"writer {self.number} died: {error!r}")


class Calls:
    """Threads that create and rename tenants through whatever replica is there."""

    def __init__(self, world, count):
        self.writers = [Caller(world, number) for number in range(count)]
        for writer in self.writers:
            writer.start()

    def acknowledged(self):
        return sum(len(writer.acknowledged) for writer in self.writers)

    def repeats(self):
        return sum(writer.repeats for writer in self.writers)

    def join(self):
        for writer in self.writers:
            writer.join(120)
            assert not writer.is_alive(), "a writer does not end"

    def lost_keys(self):
        """Writes with an idempotency key whose fate stayed unknown."""
        return [f"writer {w.number}: {w.unknown}" for w in self.writers if w.keyed and w.unknown]

    def into(self, account):
        for writer in self.writers:
            account.add_written(f"call-{writer.number}", [
                (mark, books.COMMITTED if mark in writer.acknowledged else books.UNKNOWN) for mark in writer.marks])
