/* A configuration loaded by the test from a file of its own, with the environment it gives. */
#ifndef TESTS_UNIT_CONFIG_LOADED_H
#define TESTS_UNIT_CONFIG_LOADED_H

#include "config/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    struct arena *arena;
    struct ctx ctx;
    struct config_notes notes;
    struct config *config;
    char file[64];
};

static struct fixture f;
static char *no_environment[] = {NULL};

static inline void set_up(void)
{
    f = (struct fixture){.arena = arena_new(0)};
    ctx_init(&f.ctx, NULL, f.arena);
}

static inline void tear_down(void)
{
    config_free(f.config);
    config_notes_deinit(&f.notes);
    if (f.file[0] != '\0')
        unlink(f.file);
    arena_free(f.arena);
}

static inline void write_file(const char *yaml, size_t size)
{
    strcpy(f.file, "/tmp/test_config_XXXXXX");
    int fd = mkstemp(f.file);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, yaml, size), (ssize_t)size);
    close(fd);
}

static inline int load_for(const char *yaml, char **environment, unsigned use)
{
    if (yaml != NULL)
        write_file(yaml, strlen(yaml));
    struct config_source source = {
        .file = yaml == NULL ? NULL : f.file, .environment = environment, .use = use};
    return config_load(&f.ctx, &source, &f.notes, &f.config);
}

static inline int load(const char *yaml, char **environment)
{
    return load_for(yaml, environment, 0);
}

/* The notes with the file's name replaced, so that a test can say "FILE:3". */
static inline const char *text_of(struct buf *lines)
{
    static char out[16384];
    const char *text = buf_str(lines);
    size_t used = 0;
    while (*text != '\0' && used < sizeof out - 8) {
        size_t length = strlen(f.file);
        if (length > 0 && strncmp(text, f.file, length) == 0) {
            memcpy(out + used, "FILE", 4);
            used += 4;
            text += length;
        } else {
            out[used++] = *text++;
        }
    }
    out[used] = '\0';
    return out;
}

static inline void expect_errors(const char *yaml, char **environment, const char *errors)
{
    ck_assert_int_eq(load(yaml, environment), FAULT_CONFIG);
    ck_assert_ptr_null(f.config);
    ck_assert_str_eq(text_of(&f.notes.errors), errors);
}

#endif
