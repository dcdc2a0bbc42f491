/* Questions to JetStream for single messages; see streams.h. */
#include "streams.h"

#include "output.h"
#include "settings.h"

#include "base/base64.h"

#include "domain/tenant_query.h"

#include <stdio.h>

#define REQUEST_NS (5 * NS_PER_S)
#define BASE64_FORM (BASE64_STANDARD | BASE64_PADDED)

static int message_ask(struct streams *streams, const char *stream, const char *payload,
                       struct stored_message *out);
static bool message_read(struct arena *arena, const json_t *message, struct stored_message *out);

int streams_open(struct cli *cli, struct streams *out)
{
    TRY(settings_need_nats(cli));
    const char *const *values = cli->settings->values;
    const struct jetstream_settings settings = {
        .url = values[SETTING_NATS_URL],
        .seed_file = values[SETTING_NATS_SEED_FILE],
        .ca_file = values[SETTING_CA_FILE],
        .cert_file = values[SETTING_CERT_FILE],
        .key_file = values[SETTING_KEY_FILE],
        .name = "tenantctl",
    };
    *out = (struct streams){.cli = cli};
    cli->ctx.deadline_ns = deadline_after(clock_now(), cli->settings->timeout_ns);
    return jetstream_open(&cli->ctx, &settings, &out->js) == OK ? OK : streams_failed(out);
}

void streams_close(struct streams *streams)
{
    jetstream_close(streams->js);
    streams->js = NULL;
}

struct arena *streams_arena(struct streams *streams, struct arena *arena)
{
    struct cli *cli = streams->cli;
    struct arena *before = cli->arena;
    cli->arena = arena;
    cli->ctx.arena = arena;
    return before;
}

int streams_failed(struct streams *streams)
{
    struct cli *cli = streams->cli;
    progress_clear(&cli->terminal);
    streams_close(streams);
    return output_fault(cli, cli->settings->values[SETTING_NATS_URL]);
}

int streams_ask(struct streams *streams, const char *verb, const char *payload, json_t **reply)
{
    struct ctx *ctx = &streams->cli->ctx;
    AUTO(buf_deinit) struct buf text = BUF_EMPTY;
    *reply = NULL;
    ctx->deadline_ns = deadline_after(clock_now(), REQUEST_NS);
    TRY(jetstream_request(ctx, streams->js, verb, slice_of_str(payload), &text));
    json_t *root = json_loadb((const char *)text.data, buf_size(&text), 0, NULL);
    int code = 0;
    const char *why = "";
    (void)json_unpack(root, "{s:{s?i, s?s}}", "error", "code", &code, "description", &why);
    if (root != NULL && code == 0) {
        *reply = root;
        return OK;
    }
    int rc = code == 404 ? OK
                         : FAULT(ctx, FAULT_BROKER, "%s: %.200s", verb,
                                 root == NULL ? "the answer is not JSON" : why);
    json_decref(root);
    return rc;
}

/* A stream that the relay has not made yet has no events. */
int streams_facts(struct streams *streams, const char *stream, struct stream_facts *out)
{
    json_t *reply = NULL;
    *out = (struct stream_facts){.name = stream};
    TRY(streams_ask(streams, arena_printf(streams->cli->arena, "STREAM.INFO.%s", stream), "",
                    &reply));
    if (reply == NULL)
        return OK;
    json_int_t first = 0, last = 0, messages = 0, bytes = 0;
    int failed = json_unpack(reply, "{s:{s:I, s:I, s:I, s:I}}", "state", "first_seq", &first,
                             "last_seq", &last, "messages", &messages, "bytes", &bytes);
    json_decref(reply);
    if (failed != 0)
        return FAULT(&streams->cli->ctx, FAULT_PROTOCOL, "stream %s: no state in the answer",
                     stream);
    *out = (struct stream_facts){.name = stream,
                                 .exists = true,
                                 .first_seq = (uint64_t)first,
                                 .last_seq = (uint64_t)last,
                                 .messages = (uint64_t)messages,
                                 .bytes = (uint64_t)bytes};
    return OK;
}

int streams_at(struct streams *streams, const char *stream, uint64_t seq,
               struct stored_message *out)
{
    char payload[48];
    snprintf(payload, sizeof payload, "{\"seq\":%llu}", (unsigned long long)seq);
    return message_ask(streams, stream, payload, out);
}

int streams_next(struct streams *streams, const struct stream_place *from,
                 struct stored_message *out)
{
    const char *payload =
        arena_printf(streams->cli->arena, "{\"seq\":%llu,\"next_by_subj\":\"%s\"}",
                     (unsigned long long)(from->seq == 0 ? 1 : from->seq), from->subject);
    return message_ask(streams, from->stream, payload, out);
}

static int message_ask(struct streams *streams, const char *stream, const char *payload,
                       struct stored_message *out)
{
    struct cli *cli = streams->cli;
    json_t *reply = NULL;
    *out = (struct stored_message){.stream = stream};
    TRY(streams_ask(streams, arena_printf(cli->arena, "STREAM.MSG.GET.%s", stream), payload,
                    &reply));
    if (reply == NULL)
        return OK;
    bool fine = message_read(cli->arena, json_object_get(reply, "message"), out);
    json_decref(reply);
    if (!fine)
        return FAULT(&cli->ctx, FAULT_PROTOCOL, "stream %s: the answer holds no message", stream);
    return OK;
}

static bool message_read(struct arena *arena, const json_t *message, struct stored_message *out)
{
    const char *subject = json_string_value(json_object_get(message, "subject"));
    const char *data = json_string_value(json_object_get(message, "data"));
    const char *headers = json_string_value(json_object_get(message, "hdrs"));
    const char *stored = json_string_value(json_object_get(message, "time"));
    uint64_t stored_us = 0;
    if (subject == NULL || stored == NULL ||
        !time_parse_rfc3339(slice_of_str(stored), &stored_us) ||
        (data != NULL && !base64_take(arena, slice_of_str(data), BASE64_FORM, &out->body)) ||
        (headers != NULL && !base64_take(arena, slice_of_str(headers), BASE64_FORM, &out->headers)))
        return false;
    out->seq = (uint64_t)json_integer_value(json_object_get(message, "seq"));
    out->stored_ns = stored_us * NS_PER_US;
    out->subject = arena_strdup(arena, subject);
    return out->seq > 0;
}

/* Halves the range: the time at which messages were stored grows with the sequence.  Gaps are skipped. */
int streams_since(struct streams *streams, const struct stream_facts *facts, uint64_t time_ns,
                  uint64_t *seq)
{
    uint64_t low = facts->first_seq;
    uint64_t high = facts->last_seq + 1;
    while (time_ns > 0 && low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct stored_message message;
        TRY(streams_next(streams, &(struct stream_place){facts->name, ">", middle}, &message));
        if (message.seq == 0 || message.stored_ns >= time_ns)
            high = middle;
        else
            low = message.seq + 1;
    }
    *seq = low;
    return OK;
}
