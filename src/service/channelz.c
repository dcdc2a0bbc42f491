/* grpc.channelz.v1.Channelz over the registry of connections (rpc/sockets.h).  One server, its listening socket
 * and its connections.  Channels are what clients have: there are none to show, which is what the answers
 * say. */
#include "service/channelz.h"

#include "rpc/sockets.h"

#include "gen/errors.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX 1000

typedef Grpc__Channelz__V1__Server Server;
typedef Grpc__Channelz__V1__ServerData ServerData;
typedef Grpc__Channelz__V1__Socket Socket;
typedef Grpc__Channelz__V1__SocketData SocketData;
typedef Grpc__Channelz__V1__SocketRef SocketRef;
typedef Grpc__Channelz__V1__Address Address;
typedef Grpc__Channelz__V1__Address__TcpIpAddress TcpIpAddress;
typedef Grpc__Channelz__V1__Security Security;
typedef Grpc__Channelz__V1__Security__Tls Tls;
typedef Google__Protobuf__Timestamp Timestamp;
typedef Google__Protobuf__Int64Value Int64Value;

static int get_top_channels(struct call *call, const Grpc__Channelz__V1__GetTopChannelsRequest *in,
                            Grpc__Channelz__V1__GetTopChannelsResponse *out);
static int get_servers(struct call *call, const Grpc__Channelz__V1__GetServersRequest *in,
                       Grpc__Channelz__V1__GetServersResponse *out);
static int get_server(struct call *call, const Grpc__Channelz__V1__GetServerRequest *in,
                      Grpc__Channelz__V1__GetServerResponse *out);
static int get_server_sockets(struct call *call,
                              const Grpc__Channelz__V1__GetServerSocketsRequest *in,
                              Grpc__Channelz__V1__GetServerSocketsResponse *out);
static int get_channel(struct call *call, const Grpc__Channelz__V1__GetChannelRequest *in,
                       Grpc__Channelz__V1__GetChannelResponse *out);
static int get_subchannel(struct call *call, const Grpc__Channelz__V1__GetSubchannelRequest *in,
                          Grpc__Channelz__V1__GetSubchannelResponse *out);
static int get_socket(struct call *call, const Grpc__Channelz__V1__GetSocketRequest *in,
                      Grpc__Channelz__V1__GetSocketResponse *out);
static int check_page(struct call *call, const char *start_field, int64_t start, int64_t max);
static Server *server_message(struct call *call, const struct server_view *view);
static SocketRef *socket_ref(struct arena *arena, int64_t id);
static SocketData *socket_data(struct arena *arena, const struct socket_view *view);
static Address *address_message(struct arena *arena, const struct socket_address *address);
static Security *security_message(struct arena *arena, const struct socket_view *view);
static Timestamp *time_message(struct arena *arena, uint64_t wall_ns);
static Int64Value *number_message(struct arena *arena, int64_t number);
static ProtobufCBinaryData bytes_of(struct arena *arena, struct slice bytes);
static struct socket_registry *sockets_of(const struct call *call);

const struct channelz_server channelz_handlers = {
    .get_top_channels = get_top_channels,
    .get_servers = get_servers,
    .get_server = get_server,
    .get_server_sockets = get_server_sockets,
    .get_channel = get_channel,
    .get_subchannel = get_subchannel,
    .get_socket = get_socket,
};

static int get_top_channels(struct call *call, const Grpc__Channelz__V1__GetTopChannelsRequest *in,
                            Grpc__Channelz__V1__GetTopChannelsResponse *out)
{
    TRY(check_page(call, "start_channel_id", in->start_channel_id, in->max_results));
    out->end = true;
    return OK;
}

/* "Must contain at least 1 result, otherwise 'end' must be true" (channelz.proto). */
static int get_servers(struct call *call, const Grpc__Channelz__V1__GetServersRequest *in,
                       Grpc__Channelz__V1__GetServersResponse *out)
{
    TRY(check_page(call, "start_server_id", in->start_server_id, in->max_results));
    struct server_view view;
    sockets_view_server(sockets_of(call), &view);
    out->end = true;
    if (in->start_server_id > view.id)
        return OK;
    out->n_server = 1;
    out->server = arena_alloc(call->ctx.arena, sizeof(Server *));
    out->server[0] = server_message(call, &view);
    return OK;
}

static int get_server(struct call *call, const Grpc__Channelz__V1__GetServerRequest *in,
                      Grpc__Channelz__V1__GetServerResponse *out)
{
    struct server_view view;
    sockets_view_server(sockets_of(call), &view);
    if (in->server_id != view.id)
        return CHANNELZ_UNKNOWN_ID;
    out->server = server_message(call, &view);
    return OK;
}

static int get_server_sockets(struct call *call,
                              const Grpc__Channelz__V1__GetServerSocketsRequest *in,
                              Grpc__Channelz__V1__GetServerSocketsResponse *out)
{
    TRY(check_page(call, "start_socket_id", in->start_socket_id, in->max_results));
    struct server_view view;
    sockets_view_server(sockets_of(call), &view);
    if (in->server_id != view.id)
        return CHANNELZ_UNKNOWN_ID;
    size_t max = in->max_results == 0         ? PAGE_DEFAULT
                 : in->max_results > PAGE_MAX ? PAGE_MAX
                                              : (size_t)in->max_results;
    struct arena *arena = call->ctx.arena;
    struct socket_page page = {
        .start = in->start_socket_id, .max = max, .ids = arena_alloc(arena, max * sizeof(int64_t))};
    sockets_list(sockets_of(call), &page);
    out->end = page.end;
    out->n_socket_ref = page.count;
    out->socket_ref = arena_alloc(arena, (out->n_socket_ref + 1) * sizeof(SocketRef *));
    for (size_t i = 0; i < out->n_socket_ref; i++)
        out->socket_ref[i] = socket_ref(arena, page.ids[i]);
    return OK;
}

static int get_channel(struct call *call, const Grpc__Channelz__V1__GetChannelRequest *in,
                       Grpc__Channelz__V1__GetChannelResponse *out)
{
    (void)call;
    (void)in;
    (void)out;
    return CHANNELZ_UNKNOWN_ID;
}

static int get_subchannel(struct call *call, const Grpc__Channelz__V1__GetSubchannelRequest *in,
                          Grpc__Channelz__V1__GetSubchannelResponse *out)
{
    (void)call;
    (void)in;
    (void)out;
    return CHANNELZ_UNKNOWN_ID;
}

static int get_socket(struct call *call, const Grpc__Channelz__V1__GetSocketRequest *in,
                      Grpc__Channelz__V1__GetSocketResponse *out)
{
    struct arena *arena = call->ctx.arena;
    struct socket_view view = {.id = in->socket_id, .wants_certificates = !in->summary};
    if (!sockets_view(sockets_of(call), arena, &view))
        return CHANNELZ_UNKNOWN_ID;
    Socket *socket = arena_alloc(arena, sizeof *socket);
    grpc__channelz__v1__socket__init(socket);
    socket->ref = socket_ref(arena, view.id);
    socket->local = address_message(arena, &view.local);
    socket->remote = address_message(arena, &view.remote);
    if (view.peer != NULL)
        socket->remote_name = arena_strdup(arena, view.peer);
    if (!view.listens)
        socket->data = socket_data(arena, &view);
    socket->security = security_message(arena, &view);
    out->socket = socket;
    return OK;
}

static int check_page(struct call *call, const char *start_field, int64_t start, int64_t max)
{
    if (start < 0)
        (void)call_refuse_field(call, INVALID_ARGUMENT, start_field, "must not be negative");
    if (max < 0)
        (void)call_refuse_field(call, INVALID_ARGUMENT, "max_results", "must not be negative");
    return start < 0 || max < 0 ? INVALID_ARGUMENT : OK;
}

static Server *server_message(struct call *call, const struct server_view *view)
{
    struct arena *arena = call->ctx.arena;
    Server *server = arena_alloc(arena, sizeof *server);
    grpc__channelz__v1__server__init(server);
    server->ref = arena_alloc(arena, sizeof *server->ref);
    grpc__channelz__v1__server_ref__init(server->ref);
    server->ref->server_id = view->id;
    server->ref->name = arena_strdup(arena, "tenant-service");
    ServerData *data = arena_alloc(arena, sizeof *data);
    grpc__channelz__v1__server_data__init(data);
    data->calls_started = (int64_t)view->counts[TRAFFIC_CALLS];
    data->calls_succeeded = (int64_t)view->counts[TRAFFIC_CALLS_OK];
    data->calls_failed = (int64_t)view->counts[TRAFFIC_CALLS_FAILED];
    data->last_call_started_timestamp = time_message(arena, view->last_call_ns);
    server->data = data;
    if (view->listener == 0)
        return server;
    server->n_listen_socket = 1;
    server->listen_socket = arena_alloc(arena, sizeof(SocketRef *));
    server->listen_socket[0] = socket_ref(arena, view->listener);
    return server;
}

static SocketRef *socket_ref(struct arena *arena, int64_t id)
{
    SocketRef *ref = arena_alloc(arena, sizeof *ref);
    grpc__channelz__v1__socket_ref__init(ref);
    ref->socket_id = id;
    return ref;
}

static SocketData *socket_data(struct arena *arena, const struct socket_view *view)
{
    SocketData *data = arena_alloc(arena, sizeof *data);
    grpc__channelz__v1__socket_data__init(data);
    data->streams_started = (int64_t)view->counts[TRAFFIC_STREAMS];
    data->streams_succeeded = (int64_t)view->counts[TRAFFIC_STREAMS_OK];
    data->streams_failed = (int64_t)view->counts[TRAFFIC_STREAMS_FAILED];
    data->messages_sent = (int64_t)view->counts[TRAFFIC_SENT];
    data->messages_received = (int64_t)view->counts[TRAFFIC_RECEIVED];
    data->keep_alives_sent = (int64_t)view->counts[TRAFFIC_PINGS];
    data->last_remote_stream_created_timestamp = time_message(arena, view->times[LAST_STREAM]);
    data->last_message_sent_timestamp = time_message(arena, view->times[LAST_SENT]);
    data->last_message_received_timestamp = time_message(arena, view->times[LAST_RECEIVED]);
    data->local_flow_control_window = number_message(arena, view->windows[WINDOW_TO_PEER]);
    data->remote_flow_control_window = number_message(arena, view->windows[WINDOW_TO_US]);
    return data;
}

/* "Either the IPv4 or IPv6 address in bytes.  Will be either 4 bytes or 16 bytes in length."
 * (channelz.proto) */
static Address *address_message(struct arena *arena, const struct socket_address *address)
{
    if (address->size == 0)
        return NULL;
    Address *message = arena_alloc(arena, sizeof *message);
    grpc__channelz__v1__address__init(message);
    TcpIpAddress *tcp = arena_alloc(arena, sizeof *tcp);
    grpc__channelz__v1__address__tcp_ip_address__init(tcp);
    tcp->ip_address = bytes_of(arena, slice_make(address->bytes, address->size));
    tcp->port = address->port;
    message->address_case = GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_TCPIP_ADDRESS;
    message->tcpip_address = tcp;
    return message;
}

static Security *security_message(struct arena *arena, const struct socket_view *view)
{
    if (view->cipher == NULL)
        return NULL;
    Security *security = arena_alloc(arena, sizeof *security);
    grpc__channelz__v1__security__init(security);
    Tls *tls = arena_alloc(arena, sizeof *tls);
    grpc__channelz__v1__security__tls__init(tls);
    tls->cipher_suite_case = GRPC__CHANNELZ__V1__SECURITY__TLS__CIPHER_SUITE_STANDARD_NAME;
    tls->standard_name = arena_strdup(arena, view->cipher);
    tls->local_certificate = bytes_of(arena, view->own_certificate);
    tls->remote_certificate = bytes_of(arena, view->peer_certificate);
    security->model_case = GRPC__CHANNELZ__V1__SECURITY__MODEL_TLS;
    security->tls = tls;
    return security;
}

/* NULL for what never was. */
static Timestamp *time_message(struct arena *arena, uint64_t wall_ns)
{
    if (wall_ns == 0)
        return NULL;
    Timestamp *time = arena_alloc(arena, sizeof *time);
    google__protobuf__timestamp__init(time);
    time->seconds = (int64_t)(wall_ns / NS_PER_S);
    time->nanos = (int32_t)(wall_ns % NS_PER_S);
    return time;
}

static Int64Value *number_message(struct arena *arena, int64_t number)
{
    Int64Value *value = arena_alloc(arena, sizeof *value);
    google__protobuf__int64_value__init(value);
    value->value = number;
    return value;
}

/* Copied: the answer is packed after the handler has returned. */
static ProtobufCBinaryData bytes_of(struct arena *arena, struct slice bytes)
{
    char *copy = bytes.size == 0 ? NULL : arena_strndup(arena, bytes.data, bytes.size);
    return (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)copy};
}

static struct socket_registry *sockets_of(const struct call *call)
{
    const struct service_env *env = call->service;
    return env->sockets;
}
