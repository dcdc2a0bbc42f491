/* Writes released images; see release.h.  The same protos and the same protoc give the same bytes. */
#include "release.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool name_is_fine(const char *name);
static void strip(FileSet *set, const char *const *drafts);
static void drop_drafts(FileProto *file, const char *const *drafts);
static bool write_file(const char *path, struct slice bytes);
static bool add_sum(const char *folder, const char *name, struct slice bytes);

bool release_write(struct image *image, const char *const *drafts, const char *folder,
                   const char *name)
{
    if (!name_is_fine(name)) {
        fprintf(stderr,
                "schema-compat: a release is named by letters, digits, '.', '-' and '_': \"%s\"\n",
                name);
        return false;
    }
    strip(image->set, drafts);
    struct buf bytes = BUF_EMPTY, path = BUF_EMPTY, there = BUF_EMPTY;
    size_t size = google__protobuf__file_descriptor_set__get_packed_size(image->set);
    google__protobuf__file_descriptor_set__pack(image->set, buf_reserve(&bytes, size));
    buf_commit(&bytes, size);
    buf_printf(&path, "%s/%s" IMAGE_SUFFIX, folder, name);
    bool fine;
    if (access(buf_str(&path), F_OK) == 0) {
        fine = source_bytes(buf_str(&path), &there) &&
               slice_equal(buf_slice(&there), buf_slice(&bytes));
        if (!fine)
            fprintf(
                stderr,
                "schema-compat: %s is released already, with other content: choose another name\n",
                buf_str(&path));
    } else {
        fine = write_file(buf_str(&path), buf_slice(&bytes)) &&
               add_sum(folder, name, buf_slice(&bytes));
    }
    buf_deinit(&bytes);
    buf_deinit(&path);
    buf_deinit(&there);
    return fine;
}

static bool name_is_fine(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name[0] != '.' && name[0] != '\0' && strlen(name) < 100 &&
           name[strspn(name, letters)] == '\0';
}

static void strip(FileSet *set, const char *const *drafts)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->n_file; i++) {
        FileProto *file = set->file[i];
        if (file->source_code_info != NULL)
            google__protobuf__source_code_info__free_unpacked(file->source_code_info, NULL);
        file->source_code_info = NULL;
        if (is_draft_file(drafts, file)) {
            google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
            continue;
        }
        drop_drafts(file, drafts);
        set->file[kept++] = file;
    }
    set->n_file = kept;
}

static void drop_drafts(FileProto *file, const char *const *drafts)
{
    size_t kept = 0;
    for (size_t i = 0; i < file->n_message_type; i++) {
        if (is_draft(drafts, file, file->message_type[i]->name))
            google__protobuf__descriptor_proto__free_unpacked(file->message_type[i], NULL);
        else
            file->message_type[kept++] = file->message_type[i];
    }
    file->n_message_type = kept;
    kept = 0;
    for (size_t i = 0; i < file->n_enum_type; i++) {
        if (is_draft(drafts, file, file->enum_type[i]->name))
            google__protobuf__enum_descriptor_proto__free_unpacked(file->enum_type[i], NULL);
        else
            file->enum_type[kept++] = file->enum_type[i];
    }
    file->n_enum_type = kept;
    kept = 0;
    for (size_t i = 0; i < file->n_service; i++) {
        if (is_draft(drafts, file, file->service[i]->name))
            google__protobuf__service_descriptor_proto__free_unpacked(file->service[i], NULL);
        else
            file->service[kept++] = file->service[i];
    }
    file->n_service = kept;
}

/* Whole or not at all: whoever reads the folder meanwhile never meets half an image. */
static bool write_file(const char *path, struct slice bytes)
{
    struct buf temporary = BUF_EMPTY;
    buf_printf(&temporary, "%s.new", path);
    FILE *file = fopen(buf_str(&temporary), "we");
    bool fine = file != NULL && fwrite(bytes.data, 1, bytes.size, file) == bytes.size &&
                fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file != NULL)
        fine = fclose(file) == 0 && fine;
    fine = fine && rename(buf_str(&temporary), path) == 0;
    if (!fine) {
        fprintf(stderr, "schema-compat: %s: %s\n", path, strerror(errno));
        unlink(buf_str(&temporary));
    }
    buf_deinit(&temporary);
    return fine;
}

static bool add_sum(const char *folder, const char *name, struct slice bytes)
{
    struct buf path = BUF_EMPTY, sums = BUF_EMPTY;
    buf_printf(&path, "%s/" SUMS_FILE, folder);
    bool fine = access(buf_str(&path), F_OK) != 0 || source_bytes(buf_str(&path), &sums);
    char sum[SUM_TEXT];
    sum_of(bytes, sum);
    buf_printf(&sums, "%s  %s" IMAGE_SUFFIX "\n", sum, name);
    fine = fine && write_file(buf_str(&path), buf_slice(&sums));
    buf_deinit(&path);
    buf_deinit(&sums);
    return fine;
}
