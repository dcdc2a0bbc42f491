/* The places that methods which stream may take: of all tasks, and of one identity. */
#include "h2_talk.h"

#include "rpc/stream_share.h"

/* Streams that last must not take all the tasks that short calls need. */
START_TEST(streams_leave_room_for_others)
{
    struct pair *pair = pair_new(NULL);
    struct talk talks[3];
    pair_connect(pair);
    ck_assert_uint_eq(pair->worker->streaming_calls_max, task_capacity(pair->loop) / 2);
    pair->worker->streaming_calls_max = 2;
    for (int i = 0; i < 3; i++) {
        talk_open(&talks[i], pair, "Chat", NULL);
        talk_say(&talks[i], 1);
    }
    ck_assert_int_eq(answer_status(pair_finish(pair, talks[2].id)), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(answer_status(pair_finish(pair, pair_call(pair, "Echo", 1))), GRPC_OK);
    ck_assert_int_eq(answer_status(talk_end(&talks[0])), GRPC_OK);
    buf_deinit(&talks[2].out);
    talk_open(&talks[2], pair, "Sum", NULL); /* a place is free again */
    ck_assert_int_eq(answer_status(talk_end(&talks[2])), GRPC_OK);
    ck_assert_int_eq(answer_status(talk_end(&talks[1])), GRPC_OK);
    ck_assert_uint_eq(pair->worker->streaming_calls, 0);
    pair_free(pair);
}
END_TEST

/* One identity's do not take all of them either; what it has goes on when its connection is gone, and counts. */
START_TEST(an_identity_leaves_places_to_others)
{
    struct pair *pair = pair_new(NULL);
    struct talk talks[4];
    pair_connect(pair);
    pair->worker->streaming_calls_max = 4; /* of which half */
    struct stream_share *greedy = stream_share_join(&pair->worker->stream_shares, "greedy");
    struct stream_share *modest = stream_share_join(&pair->worker->stream_shares, "modest");
    ck_assert_ptr_eq(stream_share_join(&pair->worker->stream_shares, "greedy"), greedy);
    pair->h2->share = greedy;
    for (int i = 0; i < 3; i++) {
        talk_open(&talks[i], pair, "Chat", NULL);
        talk_say(&talks[i], 1);
    }
    ck_assert_int_eq(answer_status(pair_finish(pair, talks[2].id)), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(pair_limit(pair, "streaming_per_identity"), 1);
    pair->h2->share = modest;
    talk_open(&talks[3], pair, "Chat", NULL);
    talk_say(&talks[3], 1);
    ck_assert_uint_eq(pair->worker->streaming_calls, 3);
    pair->h2->share = greedy;
    ck_assert_int_eq(answer_status(talk_end(&talks[0])), GRPC_OK);
    buf_deinit(&talks[2].out);
    pair->worker->limits.streaming_per_identity = 1;
    talk_open(&talks[2], pair, "Sum", NULL); /* one is left, and it is all that it may have */
    ck_assert_int_eq(answer_status(pair_finish(pair, talks[2].id)), GRPC_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(answer_status(talk_end(&talks[1])), GRPC_OK);
    ck_assert_int_eq(answer_status(talk_end(&talks[3])), GRPC_OK);
    buf_deinit(&talks[2].out);
    stream_share_leave(greedy);
    stream_share_leave(modest);
    ck_assert_uint_eq(pair->worker->stream_shares.count, 1);
    pair_free(pair); /* with the last hold of the greedy one's */
}
END_TEST

Suite *suite_rpc_h2_places(void);
Suite *suite_rpc_h2_places(void)
{
    Suite *suite = suite_create("rpc_h2_places");
    TCase *tcase = tcase_create("places");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, streams_leave_room_for_others);
    tcase_add_test(tcase, an_identity_leaves_places_to_others);
    suite_add_tcase(suite, tcase);
    return suite;
}
