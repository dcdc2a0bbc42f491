/* States and messages, by a program or by HTTP.  See hooks.h; docs/contracts.md has the forms. */
#include "hooks.h"

#include "coprocess.h"
#include "http.h"

#include "base/alloc.h"
#include "base/base64.h"

#include <stdlib.h>
#include <string.h>

struct hooks {
    struct hook_settings settings;
    struct coprocess *state_program;
    struct coprocess *message_program; /* the same one where the commands are the same */
};

/* One question, to whom it may concern. */
struct question {
    const char *command;
    struct coprocess **program;
    const json_t *body;
    uint64_t timeout_ns;
};

static int states_end(struct ctx *ctx, struct hooks *hooks, const struct pact *pact,
                      const struct interaction *interaction, size_t count);
static int tell_state(struct ctx *ctx, struct hooks *hooks, const json_t *body, json_t **answer);
static json_t *state_body(const char *action, const struct pact *pact, const struct state *state);
static int ask_program(struct ctx *ctx, const struct question *question, json_t **answer);
static int parse_answer(struct ctx *ctx, struct slice text, json_t **answer);
static json_t *message_body(const struct interaction *interaction, const json_t *values);
static int message_by_program(struct ctx *ctx, struct hooks *hooks, json_t *body,
                              struct produced *produced);
static int message_by_http(struct ctx *ctx, struct hooks *hooks, const json_t *body,
                           struct produced *produced);
static int metadata_header(struct ctx *ctx, const char *header, struct produced *produced);

struct hooks *hooks_new(const struct hook_settings *settings)
{
    struct hooks *hooks = xcalloc(1, sizeof *hooks);
    hooks->settings = *settings;
    return hooks;
}

void hooks_free(struct hooks *hooks)
{
    if (hooks == NULL)
        return;
    if (hooks->message_program != hooks->state_program)
        coprocess_stop(hooks->message_program);
    coprocess_stop(hooks->state_program);
    free(hooks);
}

int hooks_states(struct ctx *ctx, struct hooks *hooks, const struct pact *pact,
                 const struct interaction *interaction, json_t **values)
{
    *values = json_object();
    for (size_t i = 0; i < interaction->state_count; i++) {
        const struct state *state = &interaction->states[i];
        json_t *body = state_body("setup", pact, state), *answer = NULL;
        int rc = tell_state(ctx, hooks, body, &answer);
        json_decref(body);
        if (rc != OK) { /* those before it are there, and over */
            const char *why = arena_strdup(ctx->arena, ctx->fault.text);
            (void)states_end(ctx, hooks, pact, interaction, i);
            return FAULT(ctx, FAULT_CONFIG, "the state \"%.60s\": %s", state->name, why);
        }
        (void)json_object_update(*values, answer);
        json_decref(answer);
    }
    return OK;
}

int hooks_teardown(struct ctx *ctx, struct hooks *hooks, const struct pact *pact,
                   const struct interaction *interaction)
{
    return states_end(ctx, hooks, pact, interaction, interaction->state_count);
}

/* lint-allow parameters: the first `count` states of an interaction */
static int states_end(struct ctx *ctx, struct hooks *hooks, const struct pact *pact,
                      const struct interaction *interaction, size_t count)
{
    for (size_t i = 0; hooks->settings.teardown && i < count; i++) {
        json_t *body = state_body("teardown", pact, &interaction->states[i]), *answer = NULL;
        int rc = tell_state(ctx, hooks, body, &answer);
        json_decref(body);
        json_decref(answer);
        if (rc != OK)
            return FAULT(ctx, FAULT_CONFIG, "the end of the state \"%.60s\": %s",
                         interaction->states[i].name, arena_strdup(ctx->arena, ctx->fault.text));
    }
    return OK;
}

static json_t *state_body(const char *action, const struct pact *pact, const struct state *state)
{
    json_t *body = json_pack("{s:s, s:s, s:s}", "action", action, "state", state->name, "consumer",
                             pact->consumer);
    json_object_set_new(body, "params",
                        state->params == NULL ? json_object() : json_deep_copy(state->params));
    return body;
}

static int tell_state(struct ctx *ctx, struct hooks *hooks, const json_t *body, json_t **answer)
{
    const struct hook_settings *settings = &hooks->settings;
    if (settings->state_command != NULL) {
        const struct question question = {settings->state_command, &hooks->state_program, body,
                                          settings->timeout_ns};
        return ask_program(ctx, &question, answer);
    }
    if (settings->state_url == NULL)
        return FAULT(ctx, FAULT_CONFIG,
                     "nobody brings it about: --provider-state-command or --provider-state-url");
    struct http_answer reply;
    struct http_request request = {.method = "POST",
                                   .url = settings->state_url,
                                   .json = body,
                                   .timeout_ns = settings->timeout_ns};
    TRY(http_perform(ctx, &request, &reply));
    if (reply.status / 100 != 2)
        return FAULT(ctx, FAULT_PROTOCOL, "HTTP status %ld", reply.status);
    /* what is no object holds no values: some answer nothing, or a text */
    if (parse_answer(ctx, reply.body, answer) != OK)
        *answer = json_object();
    return OK;
}

static int ask_program(struct ctx *ctx, const struct question *question, json_t **answer)
{
    if (*question->program == NULL)
        TRY(coprocess_start(ctx, question->command, question->program));
    char *line = json_dumps(question->body, JSON_COMPACT);
    const char *reply = NULL;
    uint64_t deadline = ctx->deadline_ns;
    ctx->deadline_ns = ctx_deadline_within(ctx, question->timeout_ns);
    int rc = coprocess_ask(ctx, *question->program, line, &reply);
    ctx->deadline_ns = deadline;
    free(line);
    TRY(rc);
    TRY(parse_answer(ctx, slice_of_str(reply), answer));
    const char *error = json_string_value(json_object_get(*answer, "error"));
    if (error == NULL)
        return OK;
    rc = FAULT(ctx, FAULT_PROTOCOL, "%.180s", error);
    json_decref(*answer);
    *answer = NULL;
    return rc;
}

static int parse_answer(struct ctx *ctx, struct slice text, json_t **answer)
{
    json_error_t error;
    *answer = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(*answer))
        return OK;
    json_decref(*answer);
    *answer = NULL;
    return FAULT(ctx, FAULT_PROTOCOL, "the answer is no JSON object: %.*s",
                 text.size > 80 ? 80 : (int)text.size, text.data);
}

int hooks_message(struct ctx *ctx, struct hooks *hooks, const struct interaction *interaction,
                  const json_t *values, struct produced *produced)
{
    *produced = (struct produced){0};
    json_t *body = message_body(interaction, values);
    int rc;
    if (hooks->settings.message_command != NULL)
        rc = message_by_program(ctx, hooks, body, produced);
    else if (hooks->settings.message_url != NULL)
        rc = message_by_http(ctx, hooks, body, produced);
    else
        rc = FAULT(ctx, FAULT_CONFIG,
                   "nobody gives the message: --message-command or --message-url");
    json_decref(body);
    return rc;
}

/* As Pact's verifiers ask for messages, and what the states gave. */
static json_t *message_body(const struct interaction *interaction, const json_t *values)
{
    json_t *states = json_array();
    for (size_t i = 0; i < interaction->state_count; i++) {
        const struct state *state = &interaction->states[i];
        json_t *one = json_pack("{s:s}", "name", state->name);
        if (state->params != NULL)
            json_object_set_new(one, "params", json_deep_copy(state->params));
        json_array_append_new(states, one);
    }
    return json_pack("{s:s, s:o, s:o}", "description", interaction->description, "providerStates",
                     states, "values", json_deep_copy(values));
}

static int message_by_program(struct ctx *ctx, struct hooks *hooks, json_t *body,
                              struct produced *produced)
{
    const struct hook_settings *settings = &hooks->settings;
    bool shared = settings->state_command != NULL &&
                  strcmp(settings->state_command, settings->message_command) == 0;
    json_t *answer = NULL;
    json_object_set_new(body, "action", json_string("message"));
    const struct question question = {settings->message_command,
                                      shared ? &hooks->state_program : &hooks->message_program,
                                      body, settings->timeout_ns};
    int rc = ask_program(ctx, &question, &answer);
    if (shared)
        hooks->message_program = hooks->state_program;
    TRY(rc);
    const json_t *contents = json_object_get(answer, "contents");
    struct slice text = slice_make(json_string_value(contents), json_string_length(contents));
    if (!json_is_string(contents) ||
        !base64_take(ctx->arena, text, BASE64_STANDARD | BASE64_PADDED, &produced->contents))
        rc = FAULT(ctx, FAULT_PROTOCOL, "the message's \"contents\" are not base 64");
    produced->metadata = json_incref(json_object_get(answer, "metadata"));
    json_decref(answer);
    return rc;
}

static int message_by_http(struct ctx *ctx, struct hooks *hooks, const json_t *body,
                           struct produced *produced)
{
    struct http_answer reply;
    struct http_request request = {.method = "POST",
                                   .url = hooks->settings.message_url,
                                   .json = body,
                                   .timeout_ns = hooks->settings.timeout_ns,
                                   .wanted_header = "pact-message-metadata"};
    TRY(http_perform(ctx, &request, &reply));
    if (reply.status / 100 != 2)
        return FAULT(ctx, FAULT_PROTOCOL, "the message's URL: HTTP status %ld", reply.status);
    produced->contents = reply.body;
    return reply.header == NULL ? OK : metadata_header(ctx, reply.header, produced);
}

static int metadata_header(struct ctx *ctx, const char *header, struct produced *produced)
{
    struct slice text;
    if (!base64_take(ctx->arena, slice_of_str(header), BASE64_STANDARD | BASE64_PADDED, &text))
        return FAULT(ctx, FAULT_PROTOCOL, "pact-message-metadata is not base 64");
    return parse_answer(ctx, text, &produced->metadata);
}
