/* By name, address, hash or file; see schema_find.h. */
#include "schema_find.h"

#include "base/buf.h"

#include "gen/schemas.h"

#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SCHEME "schemas://tenant-service/"
#define HASH_MARK "#sha256-"
#define HASH_DIGITS 64
#define HASH_PREFIX_MIN 7
#define TEXT_MAX (1u << 20)

static const struct schema_entry *entry_find(const char *name);
static bool entry_is(const struct schema_entry *entry, const char *name);
static bool is_hash_prefix(const char *text);
static const char *hash_of(const char *uri);
static int from_registry(struct cli *cli, const char *name, struct found_schema *out);
static int from_file(struct cli *cli, const char *path, struct found_schema *out);
static bool file_read(struct arena *arena, const char *path, const char **text);
static void digest_of(const char *text, char out[HASH_DIGITS + 1]);
static int parsed(struct found_schema *out, struct arena *arena);

int schema_find(struct cli *cli, const char *name, struct found_schema *out)
{
    const struct schema_entry *entry = entry_find(name);
    if (entry == NULL) {
        bool address = strncmp(name, SCHEME, strlen(SCHEME)) == 0;
        return address ? from_registry(cli, name, out) : from_file(cli, name, out);
    }
    *out = (struct found_schema){
        .uri = entry->uri,
        .event = arena_printf(cli->arena, "%s.v%u", entry->name, entry->version),
        .message = entry->message,
        .status = entry->draft     ? "draft"
                  : entry->current ? "released"
                                   : "superseded",
        .releases = entry->releases,
        .text = entry->text,
    };
    return parsed(out, cli->arena);
}

/* Of several versions the newest, of several texts of a version the current one. */
static const struct schema_entry *entry_find(const char *name)
{
    const struct schema_entry *found = NULL;
    for (size_t i = 0; i < schema_entry_count; i++) {
        const struct schema_entry *entry = &schema_entries[i];
        if (entry_is(entry, name) && (found == NULL || entry->version > found->version))
            found = entry;
    }
    return found;
}

static bool entry_is(const struct schema_entry *entry, const char *name)
{
    const char *hash = hash_of(entry->uri);
    size_t address = (size_t)(hash - entry->uri) - strlen(HASH_MARK);
    char subject[128];
    snprintf(subject, sizeof subject, "%s.v%u", entry->name, entry->version);
    return strcmp(name, entry->uri) == 0 || strcmp(name, entry->name) == 0 ||
           strcmp(name, subject) == 0 || strcmp(name, entry->message) == 0 ||
           (strlen(name) == address && memcmp(name, entry->uri, address) == 0) ||
           (is_hash_prefix(name) && strncmp(hash, name, strlen(name)) == 0);
}

static bool is_hash_prefix(const char *text)
{
    size_t size = strlen(text);
    return size >= HASH_PREFIX_MIN && size <= HASH_DIGITS &&
           strspn(text, "0123456789abcdef") == size;
}

/* What stands behind "#sha256-"; "" when nothing does. */
static const char *hash_of(const char *uri)
{
    const char *mark = strstr(uri, HASH_MARK);
    return mark == NULL ? uri + strlen(uri) : mark + strlen(HASH_MARK);
}

/* An address that is newer than this program, in a folder that has it. */
static int from_registry(struct cli *cli, const char *name, struct found_schema *out)
{
    const char *folder = cli_value(cli, "registry");
    const char *hash = hash_of(name);
    if (strlen(hash) != HASH_DIGITS || !is_hash_prefix(hash) || strstr(name, "..") != NULL) {
        (void)cli_complain("no schema is called \"%s\" (see tenantctl schema list)", name);
        return EXIT_NOT_FOUND;
    }
    if (folder == NULL) {
        (void)cli_complain("%s is not among the schemas of this version (" TENANT_VERSION
                           "): name a folder such as contracts/schemas of the newer tree with "
                           "--registry",
                           name);
        return EXIT_NOT_FOUND;
    }
    const char *path = name + strlen(SCHEME);
    int size = (int)((size_t)(hash - path) - strlen(HASH_MARK));
    TRY(from_file(cli, arena_printf(cli->arena, "%s/%.*s/%s.txt", folder, size, path, hash), out));
    char digest[HASH_DIGITS + 1];
    digest_of(out->text, digest);
    if (strcmp(digest, hash) != 0) {
        (void)cli_complain("%s: its text has another hash, %s: it was edited", out->uri, digest);
        return EXIT_BROKEN;
    }
    out->uri = name;
    return OK;
}

static int from_file(struct cli *cli, const char *path, struct found_schema *out)
{
    *out = (struct found_schema){
        .uri = path, .event = "", .message = "", .status = "file", .releases = ""};
    if (!file_read(cli->arena, path, &out->text)) {
        bool is_path = strchr(path, '/') != NULL;
        (void)cli_complain(is_path ? "%s: %s" : "no schema and no file is called \"%s\": %s", path,
                           strerror(errno));
        return EXIT_NOT_FOUND;
    }
    return parsed(out, cli->arena);
}

static bool file_read(struct arena *arena, const char *path, const char **text)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    struct buf bytes = BUF_EMPTY;
    size_t got;
    do {
        got = fread(buf_reserve(&bytes, 4096), 1, 4096, file);
        buf_commit(&bytes, got);
    } while (got > 0 && buf_size(&bytes) <= TEXT_MAX);
    bool fine = ferror(file) == 0 && buf_size(&bytes) <= TEXT_MAX;
    if (!fine && ferror(file) == 0)
        errno = EFBIG;
    fclose(file);
    *text = arena_strndup(arena, bytes.data, buf_size(&bytes));
    buf_deinit(&bytes);
    return fine;
}

static void digest_of(const char *text, char out[HASH_DIGITS + 1])
{
    unsigned char digest[HASH_DIGITS / 2];
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static int parsed(struct found_schema *out, struct arena *arena)
{
    size_t line = 0;
    if (schema_text_parse(arena, slice_of_str(out->text), &out->parsed, &line))
        return OK;
    return cli_complain(
        "%s:%zu: expected the text of a schema, such as \"message NAME\" with lines "
        "\"NUMBER TYPE NAME\" (docs/events-wire.md)",
        out->uri, line);
}
