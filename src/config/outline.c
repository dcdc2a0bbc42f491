/* The event pass: libcyaml fills structs but keeps no positions and stops at its first error, so one
 * walk over libyaml's events goes first.  It notes the line of every key and reports all that is wrong
 * with the structure.  The only loops are over events and their nesting is counted, never recursed. */
#include "config/schema.h"

#include <yaml.h>

#include <assert.h>
#include <string.h>

enum { SECTIONS_MAX = 32 };

enum level { LEVEL_OUTSIDE, LEVEL_TOP, LEVEL_SECTION };

struct walk {
    struct config_loading *loading;
    struct config_outline *outline;
    yaml_event_t *event;                /* the one being looked at */
    enum level level;                   /* of the mapping we are in */
    size_t skipped;                     /* open collections inside one that was refused */
    bool has_name;                      /* a key was read, its value comes next */
    int name_line;                      /* the key's line */
    const char *name;                   /* the key; NULL: it was refused, so is its value */
    const char *section;                /* "" at the top */
    const char *sections[SECTIONS_MAX]; /* known sections seen so far */
    size_t section_count;
    size_t documents;
};

static bool parse_events(struct walk *walk, yaml_parser_t *parser);
static void report_syntax(struct walk *walk, const yaml_parser_t *parser);
static void take_event(struct walk *walk);
static bool skip(struct walk *walk, yaml_event_type_t type);
static void take_document(struct walk *walk);
static void take_scalar(struct walk *walk);
static void take_mapping(struct walk *walk);
static void end_mapping(struct walk *walk);
static void take_misfit(struct walk *walk, const char *what);
static void take_name(struct walk *walk);
static void take_leaf(struct walk *walk);
static void open_section(struct walk *walk);
static void unknown_section(struct walk *walk, const char *name);
static void unknown_key(struct walk *walk, const char *path);
static void refuse(struct walk *walk, int line, const char *text);
static const char *full_path(struct walk *walk);
static int event_line(const struct walk *walk);

void config_outline_read(struct config_loading *loading, struct slice yaml,
                         struct config_outline *outline)
{
    struct arena *arena = loading->config->arena;
    outline->lines = arena_alloc(arena, config_key_count * sizeof *outline->lines);
    outline->usable = true;
    if (yaml.size == 0)
        return;
    struct walk walk = {.loading = loading, .outline = outline, .section = ""};
    yaml_parser_t parser;
    int ready = yaml_parser_initialize(&parser);
    assert(ready); /* it fails only when memory does */
    yaml_parser_set_input_string(&parser, yaml.data, yaml.size);
    if (!parse_events(&walk, &parser))
        outline->usable = false;
    yaml_parser_delete(&parser);
}

/* False when the text is no YAML: libyaml cannot go on after a syntax error, so that is the last
 * error of this file. */
static bool parse_events(struct walk *walk, yaml_parser_t *parser)
{
    bool is_end = false;
    while (!is_end) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            report_syntax(walk, parser);
            return false;
        }
        walk->event = &event;
        take_event(walk);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return true;
}

/* libyaml counts lines from 0 and has two texts: what is wrong, and what it was about to read. */
static void report_syntax(struct walk *walk, const yaml_parser_t *parser)
{
    config_error(walk->loading, "%s:%zu: expected YAML, got: %s%s%s", walk->loading->source->file,
                 parser->problem_mark.line + 1,
                 parser->problem == NULL ? "something unreadable" : parser->problem,
                 parser->context == NULL ? "" : ", ",
                 parser->context == NULL ? "" : parser->context);
}

/* One event, outside of anything refused.  Stream and document ends say nothing to us: a mapping that
 * does not end is a syntax error. */
static void take_event(struct walk *walk)
{
    yaml_event_type_t type = walk->event->type;
    if (skip(walk, type))
        return;
    if (type == YAML_DOCUMENT_START_EVENT)
        take_document(walk);
    else if (type == YAML_SCALAR_EVENT)
        take_scalar(walk);
    else if (type == YAML_MAPPING_START_EVENT)
        take_mapping(walk);
    else if (type == YAML_MAPPING_END_EVENT)
        end_mapping(walk);
    else if (type == YAML_SEQUENCE_START_EVENT)
        take_misfit(walk, "a list");
    else if (type == YAML_ALIAS_EVENT)
        take_misfit(walk, "an alias");
}

/* True while inside something that was already refused. */
static bool skip(struct walk *walk, yaml_event_type_t type)
{
    if (walk->skipped == 0)
        return false;
    if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
        walk->skipped++;
    else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT)
        walk->skipped--;
    return true;
}

/* libcyaml would silently load the first document only. */
static void take_document(struct walk *walk)
{
    if (++walk->documents == 2)
        refuse(walk, event_line(walk), "expected one document, got another \"---\"");
}

/* A key, a value, or a document that is no mapping.  An empty document is fine: all defaults. */
static void take_scalar(struct walk *walk)
{
    if (walk->level == LEVEL_OUTSIDE && walk->event->data.scalar.length > 0)
        refuse(walk, event_line(walk), "expected keys with values, got plain text");
    else if (walk->level != LEVEL_OUTSIDE && !walk->has_name)
        take_name(walk);
    else if (walk->level != LEVEL_OUTSIDE)
        take_leaf(walk);
}

/* The document itself, or a section.  Sections hold no sections. */
static void take_mapping(struct walk *walk)
{
    if (walk->level == LEVEL_OUTSIDE && walk->documents == 1) {
        walk->level = LEVEL_TOP;
        walk->outline->has_keys = true;
    } else if (walk->level == LEVEL_TOP && walk->has_name && walk->name != NULL) {
        open_section(walk);
    } else {
        take_misfit(walk, "a section");
    }
}

/* libyaml pairs keys and values, so a mapping never ends after a key alone. */
static void end_mapping(struct walk *walk)
{
    assert(walk->level != LEVEL_OUTSIDE && !walk->has_name);
    walk->level = walk->level == LEVEL_SECTION ? LEVEL_TOP : LEVEL_OUTSIDE;
    walk->section = "";
}

/* A list, an alias or a section where none can be: as a key, as a value, or as the whole document. */
static void take_misfit(struct walk *walk, const char *what)
{
    struct arena *arena = walk->loading->config->arena;
    bool is_value = walk->has_name;
    if (is_value && walk->name != NULL)
        refuse(walk, walk->name_line,
               arena_printf(arena, "key %s: expected one value, got %s", full_path(walk), what));
    else if (!is_value && walk->documents < 2)
        refuse(walk, event_line(walk), arena_printf(arena, "expected a key, got %s", what));
    /* In a mapping keys and values take turns, whatever they are. */
    walk->has_name = !is_value && walk->level != LEVEL_OUTSIDE;
    walk->name = NULL;
    if (walk->event->type != YAML_ALIAS_EVENT)
        walk->skipped = 1;
}

/* One that could garble the terminal is reported as "?".  libcyaml would cut a key at its NUL byte and take
 * it for another. */
static void take_name(struct walk *walk)
{
    const char *text = (const char *)walk->event->data.scalar.value;
    walk->has_name = true;
    walk->name_line = event_line(walk);
    if (strlen(text) != walk->event->data.scalar.length) {
        refuse(walk, walk->name_line, "expected a key, got one with a NUL byte");
        walk->name = NULL;
        return;
    }
    bool is_showable = config_is_printable(text) && strlen(text) <= 64;
    walk->name = is_showable ? arena_strdup(walk->loading->config->arena, text) : "?";
}

/* A value in its place: known, the first of its key, and text to its end (libcyaml would cut it at a
 * NUL byte without a word). */
static void take_leaf(struct walk *walk)
{
    walk->has_name = false;
    if (walk->name == NULL)
        return; /* of a key that was refused */
    const char *path = full_path(walk);
    size_t key = config_key_find(slice_of_str(path));
    struct arena *arena = walk->loading->config->arena;
    if (key == config_key_count) {
        if (walk->level == LEVEL_TOP && config_is_section(slice_of_str(path)))
            refuse(walk, walk->name_line,
                   arena_printf(arena, "key %s: expected a section of keys, got a value", path));
        else
            unknown_key(walk, path);
        return;
    }
    if (walk->outline->lines[key] != 0)
        refuse(walk, walk->name_line,
               arena_printf(arena, "key %s: expected once, got it again after line %d", path,
                            walk->outline->lines[key]));
    if (strlen((const char *)walk->event->data.scalar.value) != walk->event->data.scalar.length)
        refuse(walk, walk->name_line,
               arena_printf(arena, "key %s: expected text, got a NUL byte", path));
    walk->outline->lines[key] = walk->name_line;
}

/* A section may come once: of two, libcyaml would mix the keys. */
static void open_section(struct walk *walk)
{
    const char *name = walk->name;
    if (!config_is_section(slice_of_str(name))) {
        unknown_section(walk, name);
        return;
    }
    walk->has_name = false;
    for (size_t i = 0; i < walk->section_count; i++) {
        if (strcmp(walk->sections[i], name) == 0)
            refuse(walk, walk->name_line,
                   arena_printf(walk->loading->config->arena,
                                "key %s: expected once, got the section again", name));
    }
    if (walk->section_count < SECTIONS_MAX)
        walk->sections[walk->section_count++] = name;
    walk->section = name;
    walk->level = LEVEL_SECTION;
}

/* A name that is a key, or nothing at all; its content is not looked at. */
static void unknown_section(struct walk *walk, const char *name)
{
    if (config_key_find(slice_of_str(name)) < config_key_count) {
        take_misfit(walk, "a section");
        return;
    }
    unknown_key(walk, name);
    walk->has_name = false;
    walk->skipped = 1;
}

/* libcyaml ignores these: the other keys are still checked. */
static void unknown_key(struct walk *walk, const char *path)
{
    const char *nearest = config_key_nearest(path);
    config_error(walk->loading, "%s:%d: key %s: expected a known key, got this one%s%s%s",
                 walk->loading->source->file, walk->name_line, path,
                 nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "?");
}

/* An error after which libcyaml cannot load the text. */
static void refuse(struct walk *walk, int line, const char *text)
{
    config_error(walk->loading, "%s:%d: %s", walk->loading->source->file, line, text);
    walk->outline->usable = false;
}

/* "server.port" inside a section, the bare name outside. */
static const char *full_path(struct walk *walk)
{
    if (walk->level != LEVEL_SECTION)
        return walk->name;
    return arena_printf(walk->loading->config->arena, "%s.%s", walk->section, walk->name);
}

static int event_line(const struct walk *walk)
{
    return (int)walk->event->start_mark.line + 1;
}
