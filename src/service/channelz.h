/* grpc.channelz.v1: what operators see of the server and its connections while it runs. */
#ifndef SERVICE_CHANNELZ_H
#define SERVICE_CHANNELZ_H

#include "service/service.h"

#include "gen/rpc/channelz.h"

extern const struct channelz_server channelz_handlers;

#endif
