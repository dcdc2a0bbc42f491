/* Scans the input as one of a few types.  What the scan passes, protobuf-c must unpack.
 *
 * Input: one byte that chooses the type, then the message. */
#include "rpc/scan.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/tenant/v1/tenants.pb-c.h"

#include "tests/fuzz/sample_message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

static const ProtobufCMessageDescriptor *const types[] = {
    &sample_descriptor,
    &tenant__v1__create_tenant_request__descriptor,
    &tenant__v1__update_tenant_request__descriptor,
    &google__rpc__bad_request__descriptor,
};

/* All strings of a message that passed are whole: C sees every byte of them. */
static void message_use(ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size == 0 ? 1 : size);
    EXPECT(packed != NULL);
    EXPECT(protobuf_c_message_pack(message, packed) == size);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type = types[data[0] % (sizeof types / sizeof types[0])];
    struct scan_report report;
    memset(&report, 'x', sizeof report);
    enum scan_result result = scan_message(type, slice_make(data + 1, size - 1), &report);
    EXPECT(memchr(report.path, 0, sizeof report.path) != NULL && report.fields <= SCAN_FIELDS_MAX);
    EXPECT(result == SCAN_OK || scan_rule(result)[0] != '\0');
    if (result != SCAN_OK)
        return 0;
    EXPECT(report.path[0] == '\0');
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, size - 1, data + 1);
    EXPECT(message != NULL);
    message_use(message);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}
