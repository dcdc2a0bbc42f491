"""The C client library as others use it: installed into a folder of its own, found by pkg-config, linked statically
and dynamically into a program of theirs."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests/libtenant/example.c"
PUBLIC = ("tenant_", "tenant__", "google__", "grpc__")


def _run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300,
                          **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libtenant")
    _run("make", "-C", ROOT, "install-libtenant", f"PREFIX={folder}", env=dict(os.environ, MODE="release", MAKEFLAGS=""))
    return folder


def _flags(prefix, *wanted):
    return _run("pkg-config", *wanted, "tenant", env=dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))).split()


def _call(program, service, stack, key, **env):
    files = [stack.pki / name for name in ("admin.pem", "admin.key", "ca.pem")]
    return _run(program, service.address, *files, key, env=dict(os.environ, **env))


def _expect_walk(text):
    lines = text.splitlines()
    assert lines[0].startswith("created tnt_") and "request " in lines[0]
    assert lines[1:] == ["read Example", lines[2], "healthy", lines[4]]
    assert lines[2].startswith("refused: ") and lines[4].startswith("unavailable: connect")


def test_a_program_linked_with_the_shared_library(prefix, service, stack, tmp_path):
    _run("gcc", "-Wall", "-Wextra", "-Werror", EXAMPLE, "-o", tmp_path / "example", *_flags(prefix, "--cflags", "--libs"))
    _expect_walk(_call(tmp_path / "example", service, stack, "shared-1", LD_LIBRARY_PATH=str(prefix / "lib")))


def test_a_program_linked_statically(prefix, service, stack, tmp_path):
    libs = [prefix / "lib/libtenant.a" if flag == "-ltenant" else flag for flag in _flags(prefix, "--libs", "--static")]
    _run("gcc", "-Wall", "-Wextra", "-Werror", EXAMPLE, "-o", tmp_path / "example", *_flags(prefix, "--cflags"), *libs)
    _expect_walk(_call(tmp_path / "example", service, stack, "static-1"))


def test_the_headers_are_cplusplus_too(prefix, tmp_path):
    source = tmp_path / "use.cc"
    source.write_text("#include <tenant/tenant_service.h>\n#include <tenant/health.h>\nint main() { return 0; }\n")
    _run("g++", "-fsyntax-only", "-Wall", "-Werror", *_flags(prefix, "--cflags"), source)


def test_nothing_else_of_ours_is_seen(prefix):
    static = _run("nm", "--defined-only", "--extern-only", "-P", prefix / "lib/libtenant.a")
    shared = _run("nm", "-D", "--defined-only", "-P", prefix / "lib/libtenant.so.0")
    for listing in (static, shared):
        names = [line.split()[0] for line in listing.splitlines() if len(line.split()) > 2]
        assert "tenant_client_call" in names
        assert [name for name in names if not name.startswith(PUBLIC)] == []
