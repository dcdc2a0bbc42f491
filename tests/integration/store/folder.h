/* Folders of migrations for one test: the first few of the real ones, and files of the test's own. */
#ifndef TESTS_STORE_FOLDER_H
#define TESTS_STORE_FOLDER_H

#include "tests/integration/store/rig.h"

#include <dirent.h>
#include <limits.h>

#define MIGRATIONS_MAX 100

/* The tree's migrations, in order. */
struct history {
    char names[MIGRATIONS_MAX][128];
    int count;
};

struct folder {
    char path[64];
};

static inline int migration_is(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 9 && strspn(entry->d_name, "0123456789") == 4 &&
           strcmp(entry->d_name + size - 4, ".sql") == 0;
}

static inline void history_read(struct history *history)
{
    struct dirent **entries = NULL;
    history->count = scandir("migrations", &entries, migration_is, alphasort);
    ck_assert_int_gt(history->count, 3);
    ck_assert_int_lt(history->count, MIGRATIONS_MAX - 1);
    for (int i = 0; i < history->count; i++) {
        snprintf(history->names[i], sizeof history->names[i], "%.127s", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* A file of the folder, replaced when it is there. */
static inline void folder_put(const struct folder *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    unlink(path);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void folder_remove_file(const struct folder *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    ck_assert_int_eq(unlink(path), 0);
}

/* With the first `count` migrations. */
static inline void folder_make(struct folder *folder, const struct history *history, int count)
{
    snprintf(folder->path, sizeof folder->path, "/tmp/it-migrations-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder->path));
    ck_assert_int_le(count, history->count);
    for (int i = 0; i < count; i++) {
        char from[256];
        char real[PATH_MAX];
        char to[256];
        snprintf(from, sizeof from, "migrations/%s", history->names[i]);
        ck_assert_ptr_nonnull(realpath(from, real));
        snprintf(to, sizeof to, "%s/%s", folder->path, history->names[i]);
        ck_assert_int_eq(symlink(real, to), 0);
    }
}

static inline void folder_remove(const struct folder *folder)
{
    DIR *dir = opendir(folder->path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.')
            folder_remove_file(folder, entry->d_name);
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(folder->path), 0);
}

/* A whole file, in the arena; NULL when it is not there. */
static inline const char *file_read(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return NULL;
    static char text[1 << 20];
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose(file);
    return arena_printf(arena, "%s", text);
}

#endif
