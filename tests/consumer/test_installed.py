"""The libraries as others find them: pkg-config, both ways of linking, C++, beside libtenant, and nothing else of ours seen."""
import json
import os

import pytest

from follower import ROOT, flags, install, run

PUBLIC = {"libtenant-events": ("tenant_consumer_", "tenant_event_", "tenant_replay_", "tenant_partition_of", "tenant__", "google__"),
          "libtenant-events-postgres": ("tenant_inbox_",)}
PROGRAM = """
#include <tenant/events_postgres.h>
#include <tenant/events_metrics.h>
%s
#include <stdio.h>
static enum tenant_outcome handle(void *context, const struct tenant_event *event, struct tenant_reason *reason)
{
    (void)context, (void)event, (void)reason;
    return TENANT_EVENT_DONE;
}
int main(void)
{
    struct tenant_consumer_settings settings = TENANT_CONSUMER_SETTINGS;
    struct tenant_consumer_error error;
    struct tenant_consumer *consumer = NULL;
    settings.handle = handle;
    if (tenant_consumer_new(&settings, &consumer, &error) != TENANT_CONSUMER_INVALID)
        return 1;
    puts(error.text);
    settings.url = "nats://127.0.0.1:1";
    settings.group = "g";
    if (tenant_consumer_new(&settings, &consumer, &error) != TENANT_CONSUMER_OK)
        return 2;
    tenant_consumer_stop(consumer);
    tenant_consumer_run(consumer);
    tenant_consumer_free(consumer);
    %s
    fputs(tenant_inbox_ddl(), stdout);
    return 0;
}
"""
PARTITIONS = """
#include <tenant/events.h>
#include <stdio.h>
int main(int count, char **ids)
{
    for (int i = 0; i < count; i++) {
        unsigned partition = 99;
        if (tenant_partition_of(i == 0 ? NULL : ids[i], &partition))
            printf("%02u\\n", partition);
        else
            puts(partition == 99 ? "none" : "touched");
    }
    return 0;
}
"""
WITH_CALLS = ("#include <tenant/tenant_service.h>", """
    Tenant__V1__Tenant tenant = TENANT__V1__TENANT__INIT;
    if (tenant__v1__tenant__get_packed_size(&tenant) != 0 || tenant_client_new(&(struct tenant_client_options){0}) != NULL)
        return 3;""")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    return install(tmp_path_factory.mktemp("installed"))


def compiled(folder, source, *arguments):
    (folder / "program.c").write_text(source)
    run("gcc", "-Wall", "-Wextra", "-Werror", folder / "program.c", "-o", folder / "program", *arguments)
    return folder / "program"


def statically(prefix):
    return [*flags(prefix, "--cflags"), prefix / "lib/libtenant-events.a",
            *run("pkg-config", "--libs", "libnats", "libcrypto", "libprotobuf-c").split(), "-lpthread"]


def dynamically(prefix):
    return flags(prefix, "--cflags", "--libs")


def output(program, prefix, *arguments):
    return run(program, *arguments, env=dict(os.environ, LD_LIBRARY_PATH=str(prefix / "lib")))


def says(program, prefix):
    said = output(program, prefix)
    assert said.startswith("url: must be given\n") and "CREATE TABLE IF NOT EXISTS tenant_inbox " in said


def test_linked_with_the_shared_libraries(prefix, tmp_path):
    packages = ("tenant-events-postgres", "tenant-events")
    says(compiled(tmp_path, PROGRAM % ("", ""), *flags(prefix, "--cflags", "--libs", packages=packages)), prefix)


def test_linked_statically(prefix, tmp_path):
    system = run("pkg-config", "--libs", "libpq", "libnats", "libcrypto", "libprotobuf-c").split()
    says(compiled(tmp_path, PROGRAM % ("", ""), *flags(prefix, "--cflags", packages=("tenant-events-postgres",)),
                  prefix / "lib/libtenant-events-postgres.a", prefix / "lib/libtenant-events.a", *system, "-lpthread"), prefix)


def test_beside_libtenant_either_way(prefix, tmp_path):
    run("make", "-C", ROOT, "install-libtenant", f"PREFIX={prefix}", env=dict(os.environ, MODE="release", MAKEFLAGS=""))
    packages = ("tenant-events-postgres", "tenant-events", "tenant")
    says(compiled(tmp_path, PROGRAM % WITH_CALLS, *flags(prefix, "--cflags", "--libs", packages=packages)), prefix)
    system = run("pkg-config", "--libs", "libpq", "libnats", "openssl", "libprotobuf-c", "libnghttp2", "zlib", "libdeflate",
                 "libuv").split()
    for order in (("tenant", "tenant-events"), ("tenant-events", "tenant")):
        ours = [prefix / f"lib/lib{name}.a" for name in ("tenant-events-postgres", *order)]
        says(compiled(tmp_path, PROGRAM % WITH_CALLS, *flags(prefix, "--cflags", packages=packages), *ours, *system,
                      "-lboost_context", "-lpthread"), prefix)


@pytest.mark.parametrize("linked", (dynamically, statically))
def test_the_partition_of_each_published_vector(prefix, tmp_path, linked):
    vectors = json.loads((ROOT / "contracts/partition-vectors.json").read_text())["vectors"]
    good = vectors[-1]["tenant_id"]
    no_ids = ["", "tnt_", good[:-1], good + "0", good.lower(), "ten" + good[3:], "evt" + good[3:], good[:-1] + "U", "tnt_8" + good[5:]]
    program = compiled(tmp_path, PARTITIONS, *linked(prefix))
    said = output(program, prefix, *(one["tenant_id"] for one in vectors), *no_ids).splitlines()
    assert len(vectors) >= 60
    assert said == ["none"] + [one["partition"] for one in vectors] + ["none"] * len(no_ids)


def test_the_headers_are_cplusplus_too(prefix, tmp_path):
    headers = sorted(path.name for path in (prefix / "include/tenant").glob("event*.h"))
    assert {"event.h", "events.h", "events_metrics.h", "events_postgres.h"} <= set(headers)
    source = tmp_path / "use.cc"
    source.write_text("".join(f"#include <tenant/{name}>\n" for name in headers) + "int main() { return 0; }\n")
    run("g++", "-fsyntax-only", "-Wall", "-Werror", *flags(prefix, "--cflags", packages=("tenant-events-postgres",)), source)


@pytest.mark.parametrize("library", sorted(PUBLIC))
def test_nothing_else_of_ours_is_seen(prefix, library):
    static = run("nm", "--defined-only", "--extern-only", "-P", prefix / f"lib/{library}.a")
    shared = run("nm", "-D", "--defined-only", "-P", prefix / f"lib/{library}.so.0")
    for listing in (static, shared):
        names = [line.split()[0] for line in listing.splitlines() if len(line.split()) > 2]
        assert any(name.startswith(PUBLIC[library][0]) for name in names)
        assert [name for name in names if not name.startswith(PUBLIC[library])] == []
