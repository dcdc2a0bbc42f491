/* Records of consumer groups; see group_stream.h. */
#include "events/group_stream.h"

#include "events/jetstream_api.h"
#include "events/json_scan.h"
#include "events/publish.h"

#include <inttypes.h>
#include <stdio.h>

#define SUBJECT_MAX 96
#define HEADER_EXPECTED_SUBJECT_SEQ "Nats-Expected-Last-Subject-Sequence"

/* STREAM.MSG.GET is answered by the stream's leader, so a record that was written is the one that is read. */
int group_record_read(struct ctx *ctx, struct jetstream *js, const char *group, struct buf *record,
                      uint64_t *revision)
{
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    char question[SUBJECT_MAX + 32];
    uint64_t err_code = 0;
    struct slice data;
    struct slice seq;
    int length = snprintf(question, sizeof question,
                          "{\"last_by_subj\":\"" GROUP_SUBJECT_PREFIX "%s\"}", group);
    TRY(jetstream_api(ctx, js, "STREAM.MSG.GET." GROUP_STREAM, slice_make(question, (size_t)length),
                      &reply, &err_code));
    buf_clear(record);
    *revision = 0;
    if (err_code == ERR_MESSAGE_NOT_FOUND)
        return OK;
    if (err_code != 0)
        return FAULT(ctx, FAULT_BROKER, GROUP_STREAM "%s: error %" PRIu64,
                     err_code == ERR_STREAM_MISSING ? " is missing" : "", err_code);
    if (!json_scan_member(buf_slice(&reply), "message.seq", &seq) ||
        !json_scan_uint(seq, revision) ||
        !json_scan_member(buf_slice(&reply), "message.data", &data) || data.size < 2 ||
        !json_scan_base64_decode(slice_make(data.data + 1, data.size - 2), record))
        return FAULT(ctx, FAULT_PROTOCOL, GROUP_STREAM ": a message that is none");
    return OK;
}

int group_record_write(struct ctx *ctx, struct jetstream_inbox *inbox,
                       const struct group_record *record, uint64_t tag, uint64_t *written)
{
    char subject[SUBJECT_MAX];
    char expected[24];
    struct publish_result result;
    snprintf(subject, sizeof subject, GROUP_SUBJECT_PREFIX "%s", record->group);
    snprintf(expected, sizeof expected, "%" PRIu64, record->revision);
    const struct jetstream_message message = {
        .subject = subject,
        .headers = {{HEADER_EXPECTED_SUBJECT_SEQ, expected}},
        .payload = record->bytes,
    };
    TRY(publish_one(ctx, inbox, &message, tag, &result));
    *written = result.seq;
    return OK;
}
