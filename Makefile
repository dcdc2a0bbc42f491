# tenant-service: one Makefile, not recursive.  `make help` lists the targets.
#
# Modes build side by side under build/<mode>/: MODE=release (default), debug, asan, tsan, clang,
# clang-asan.  ROOM=<room> limits `check-unit` to one room and those it stands on.

MODE  ?= release
STACK ?= dev
JOBS  ?= $(shell nproc)
B     := build/$(MODE)

ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(JOBS)
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

VERSION := $(shell cat VERSION)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

# --- compiler and flags -----------------------------------------------------------------------------

CC := $(if $(findstring clang,$(MODE)),clang,gcc)

# What a compiler does not know is left out; `make help` lists it.
WANTED_FLAGS := -Wall -Wextra -Wformat=2 -Wconversion -Wshadow -Wstrict-prototypes \
  -Wmissing-prototypes -Wimplicit-fallthrough -Wtrampolines -Wbidi-chars=any -Wswitch-enum \
  -Wcast-qual -Wundef -Wvla -Wframe-larger-than=2048 -Werror \
  -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
  -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr \
  -fno-delete-null-pointer-checks -fno-strict-overflow -fstrict-flex-arrays=3 -fPIE
FLAG_CACHE := build/flags-$(CC).mk
KNOWN_FLAGS :=
-include $(FLAG_CACHE)
$(FLAG_CACHE):
	@mkdir -p build
	@command -v $(CC) >/dev/null || exit 0; known=; missing=; for f in $(WANTED_FLAGS); do \
	  if echo 'int x;' | $(CC) $$f -Werror -x c -c -o /dev/null - 2>/dev/null; \
	  then known="$$known $$f"; else missing="$$missing $$f"; fi; done; \
	  printf 'KNOWN_FLAGS :=%s\nMISSING_FLAGS :=%s\n' "$$known" "$$missing" >$@

PACKAGES := libnghttp2 openssl zlib libdeflate libpq hiredis libnats libcyaml yaml-0.1 libprotobuf-c libuv \
  libmicrohttpd jansson
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null | sed 's/-I/-isystem /g')
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lboost_context -lpthread -lm
CHECK_LIBS := $(shell pkg-config --libs check 2>/dev/null)

OPT_release    := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
OPT_shared     := $(OPT_release)
OPT_clang      := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
OPT_debug      := -O0 -g3
OPT_asan       := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_clang-asan := $(OPT_asan)
OPT_tsan       := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT := $(OPT_$(MODE))
ifeq ($(OPT),)
$(error unknown MODE=$(MODE): release, shared, debug, asan, tsan, clang, clang-asan)
endif
# libtenant is linked into programs and libraries of others.
ifeq ($(MODE),shared)
KNOWN_FLAGS := $(patsubst -fPIE,-fPIC,$(KNOWN_FLAGS))
endif
# The sanitizers' own stack frames are larger, and their checks defeat some flow warnings.
MODE_WARNINGS := $(if $(findstring san,$(MODE)),-Wno-frame-larger-than \
  $(if $(filter gcc,$(CC)),-Wno-maybe-uninitialized),)
MODE_WARNINGS += $(if $(filter debug,$(MODE)),-Wno-frame-larger-than,)

DEFINES := -D_GNU_SOURCE -DTENANT_VERSION='"$(VERSION)"'
CFLAGS  := -std=gnu17 $(OPT) $(KNOWN_FLAGS) $(MODE_WARNINGS) $(DEFINES) -Isrc -isystem . -isystem gen/pb \
  -Iinclude -Itools/tenantctl $(PKG_CFLAGS)
# protobuf-c's output is not ours to warn about.
GEN_PB_CFLAGS := $(filter-out -W%,$(CFLAGS)) -w
LDFLAGS := $(OPT) -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen -Wl,--as-needed

# --- sources ----------------------------------------------------------------------------------------

# Order: every room stands on those to its left (tools/layers has the exact table).
ROOMS := base config loop domain tokens tls protojson rpc store cache events consumer inbox inbound service client ops main
ROOMS := $(foreach r,$(ROOMS),$(if $(wildcard src/$(r)/*.c),$(r)))
room_objects = $(patsubst %.c,$(B)/%.o,$(wildcard src/$(1)/*.c))
GEN_PB_OBJECTS := $(patsubst %.c,$(B)/%.o,$(shell find gen/pb -name '*.c' 2>/dev/null))
GEN_OBJECTS    := $(GEN_PB_OBJECTS) $(patsubst %.c,$(B)/%.o,$(wildcard gen/*.c gen/rpc/*.c))

SERVER := $(B)/tenant-service
CLI    := $(B)/tenantctl
GATE   := $(B)/schema-compat
VERIFY := $(B)/contract-verify

.PHONY: all
all: $(if $(wildcard src/main/main.c),$(SERVER)) $(if $(wildcard tools/tenantctl/*.c),$(CLI)) $(GATE) $(VERIFY) ## Build the programs (MODE=release)

$(B)/lib/gen.a: $(GEN_OBJECTS)
define room_archive
$(B)/lib/$(1).a: $$(call room_objects,$(1))
endef
$(foreach r,$(ROOMS),$(eval $(call room_archive,$(r))))
$(B)/lib/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

$(B)/gen/pb/%.o: gen/pb/%.c $(FLAG_CACHE)
	@mkdir -p $(@D)
	@$(CC) $(GEN_PB_CFLAGS) -MMD -MP -c $< -o $@
# Tools run on ordinary stacks.
$(B)/tools/%.o: CFLAGS += -Wno-frame-larger-than
DEPENDENCIES := -MMD -MP
# The tree's root is searched as a system folder, whose headers -MMD leaves out; tests include theirs from there.
$(B)/tests/%.o: DEPENDENCIES := -MD -MP
# Check's macros compare through intmax_t; tests run on ordinary stacks.
$(B)/tests/%.o: CFLAGS += -Wno-conversion -Wno-sign-conversion -Wno-frame-larger-than
# clang looks into the initialisers of protobuf-c's messages, which casts away a const; src/ calls its functions.
$(B)/tests/%.o: CFLAGS += $(if $(filter clang,$(CC)),-Wno-cast-qual)
$(B)/%.o: %.c $(FLAG_CACHE)
	@mkdir -p $(@D)
	@echo "CC  $(MODE) $<"
	@$(CC) $(CFLAGS) $(CFLAGS_$(basename $(notdir $<))) $(DEPENDENCIES) -c $< -o $@
-include $(shell find $(B) -name '*.d' 2>/dev/null)

# The commit stands in one small file only, so that a commit does not rebuild the tree.
$(B)/src/main/version.o: CFLAGS += -DTENANT_COMMIT='"$(COMMIT)"'

link = $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)

$(SERVER): $(foreach r,$(ROOMS),$(B)/lib/$(r).a) $(B)/lib/gen.a
	@echo "LD  $(MODE) $@"
	@$(CC) $(LDFLAGS) -o $@ -Wl,--whole-archive $(B)/lib/main.a -Wl,--no-whole-archive \
	  -Wl,--start-group $(filter-out %/main.a,$(filter %.a,$^)) -Wl,--end-group $(PKG_LIBS)

CLI_ROOMS := base config loop domain tokens tls protojson rpc store events consumer client
$(CLI): $(patsubst %.c,$(B)/%.o,$(wildcard tools/tenantctl/*.c)) \
  $(foreach r,$(filter $(CLI_ROOMS),$(ROOMS)),$(B)/lib/$(r).a) $(B)/lib/gen.a
	@echo "LD  $(MODE) $@"
	@$(link)

$(GATE): $(patsubst %.c,$(B)/%.o,$(wildcard tools/schema-compat/*.c)) $(B)/lib/base.a $(B)/lib/gen.a
	@echo "LD  $(MODE) $@"
	@$(link)

# Of the schema gate: the reader of descriptors.
VERIFY_IMAGE := $(patsubst %,$(B)/tools/schema-compat/%.o,image image_check place wire_depth)
VERIFY_ROOMS := base loop tls protojson rpc client
VERIFY_LIBS = $(shell pkg-config --libs libcurl libpcre2-8 2>/dev/null)
$(VERIFY): $(patsubst %.c,$(B)/%.o,$(wildcard tools/contract-verify/*.c)) $(VERIFY_IMAGE) \
  $(foreach r,$(VERIFY_ROOMS),$(B)/lib/$(r).a) $(B)/lib/gen.a
	@echo "LD  $(MODE) $@"
	@$(link) $(VERIFY_LIBS)

# libtenant: the client room and what it stands on as one object, of which only the public names are seen, so that
# nothing of it meets a name of the program it is linked into.
LIBTENANT_PB := $(patsubst %.c,$(B)/%.o,$(wildcard gen/pb/tenant/v1/*.c gen/pb/grpc/health/v1/*.c))
LIBTENANT_LIBS := $(shell pkg-config --libs libnghttp2 openssl zlib libdeflate libuv libprotobuf-c 2>/dev/null) -lboost_context -lpthread
LIBTENANT_PUBLIC := 'tenant_*' 'tenant__*' 'google__*' 'grpc__*'
$(B)/lib/libtenant.o: $(B)/src/client/public.o $(LIBTENANT_PB) \
  $(foreach r,base loop tls protojson rpc client,$(B)/lib/$(r).a) $(B)/lib/gen.a
	@echo "LD  $(MODE) $@"
	@$(CC) -r -nostdlib -o $@.all $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
	@objcopy --wildcard $(LIBTENANT_PUBLIC:%=--keep-global-symbol=%) $@.all $@ && rm $@.all
$(B)/lib/libtenant.a: $(B)/lib/libtenant.o
	@rm -f $@ && ar rcs $@ $<
$(B)/lib/libtenant.so.0: $(B)/lib/libtenant.o
	@echo "LD  $(MODE) $@"
	@$(CC) -shared -Wl,-soname,libtenant.so.0,-z,relro,-z,now,-z,noexecstack,-z,defs -Wl,--as-needed -o $@ $< \
	  $(LIBTENANT_LIBS)

.PHONY: libtenant
libtenant: ## Build the C client library, static and shared (build/shared/lib/libtenant.*)
	@$(MAKE) MODE=shared build/shared/lib/libtenant.a build/shared/lib/libtenant.so.0

.PHONY: install-libtenant
install-libtenant: libtenant ## Install libtenant and its headers (PREFIX=/usr/local, DESTDIR=)
	@install -d $(LIBTENANT_ROOT)/include/tenant $(LIBTENANT_ROOT)/lib/pkgconfig
	@install -m 644 include/tenant/client.h $(LIBTENANT_ROOT)/include/tenant/
	@for s in tenant_service health; do \
	  install -m 644 gen/rpc/$${s}_public.h $(LIBTENANT_ROOT)/include/tenant/$$s.h; done
	@cd gen/pb && for h in tenant/v1/*.h tenant/options/v1/*.h google/rpc/*.h google/protobuf/*.h grpc/health/v1/*.h; do \
	  install -D -m 644 $$h $(LIBTENANT_ROOT)/include/tenant/pb/$$h; done
	@install -m 644 build/shared/lib/libtenant.a $(LIBTENANT_ROOT)/lib/
	@install -m 755 build/shared/lib/libtenant.so.0 $(LIBTENANT_ROOT)/lib/
	@ln -sf libtenant.so.0 $(LIBTENANT_ROOT)/lib/libtenant.so
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' include/tenant/tenant.pc.in >$(LIBTENANT_ROOT)/lib/pkgconfig/tenant.pc
LIBTENANT_ROOT = $(DESTDIR)$(PREFIX)

# libtenant-events: the consumer room in the same way.  A library of its own, because it needs libnats and libtenant must
# not.  Messages that both have are weak here, so that a program may link both.
LIBEVENTS_PB := $(patsubst %.c,$(B)/%.o,$(wildcard gen/pb/tenant/events/v1/*.c gen/pb/tenant/v1/*.c))
LIBEVENTS_LIBS := $(shell pkg-config --libs libnats libcrypto libprotobuf-c 2>/dev/null) -lpthread
LIBEVENTS_PUBLIC := 'tenant_consumer_*' 'tenant_event_*' 'tenant_replay_*' 'tenant_partition_of' 'tenant__*' 'google__*'
LIBEVENTS_SHARED := 'tenant__*' 'google__*'
$(B)/lib/libtenant-events.o: $(call room_objects,consumer) $(LIBEVENTS_PB) \
  $(foreach r,base domain events,$(B)/lib/$(r).a) $(B)/lib/gen.a
	@echo "LD  $(MODE) $@"
	@$(CC) -r -nostdlib -o $@.all $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
	@objcopy --wildcard $(LIBEVENTS_PUBLIC:%=--keep-global-symbol=%) $@.all $@.public
	@objcopy --wildcard $(LIBEVENTS_SHARED:%=--weaken-symbol=%) $@.public $@ && rm $@.all $@.public
$(B)/lib/libtenant-events.a: $(B)/lib/libtenant-events.o
	@rm -f $@ && ar rcs $@ $<
$(B)/lib/libtenant-events.so.0: $(B)/lib/libtenant-events.o
	@echo "LD  $(MODE) $@"
	@$(CC) -shared -Wl,-soname,libtenant-events.so.0,-z,relro,-z,now,-z,noexecstack,-z,defs -Wl,--as-needed -o $@ $< \
	  $(LIBEVENTS_LIBS)

# Its helper for PostgreSQL, which alone needs libpq.
$(B)/lib/libtenant-events-postgres.o: $(call room_objects,inbox) $(B)/lib/base.a
	@echo "LD  $(MODE) $@"
	@$(CC) -r -nostdlib -o $@.all $(filter %.o,$^) $(filter %.a,$^)
	@objcopy --wildcard --keep-global-symbol='tenant_inbox_*' $@.all $@ && rm $@.all
$(B)/lib/libtenant-events-postgres.a: $(B)/lib/libtenant-events-postgres.o
	@rm -f $@ && ar rcs $@ $<
$(B)/lib/libtenant-events-postgres.so.0: $(B)/lib/libtenant-events-postgres.o
	@echo "LD  $(MODE) $@"
	@$(CC) -shared -Wl,-soname,libtenant-events-postgres.so.0,-z,relro,-z,now,-z,noexecstack,-z,defs -Wl,--as-needed -o $@ \
	  $< $(shell pkg-config --libs libpq 2>/dev/null)

LIBEVENTS_FILES := $(foreach l,libtenant-events libtenant-events-postgres,$(l).a $(l).so.0)
# Who asks for both gets one after the other: both make what they stand on in the same folder.
libtenant-events: | $(filter libtenant,$(patsubst install-%,%,$(MAKECMDGOALS)))
.PHONY: libtenant-events
libtenant-events: ## Build the C libraries of event consumers, static and shared (build/shared/lib/libtenant-events*)
	@$(MAKE) MODE=shared $(LIBEVENTS_FILES:%=build/shared/lib/%)

.PHONY: install-libtenant-events
install-libtenant-events: libtenant-events ## Install libtenant-events and its headers (PREFIX=/usr/local, DESTDIR=)
	@install -d $(LIBTENANT_ROOT)/include/tenant $(LIBTENANT_ROOT)/lib/pkgconfig
	@install -m 644 include/tenant/event*.h $(LIBTENANT_ROOT)/include/tenant/
	@cd gen/pb && for h in tenant/events/v1/*.h tenant/v1/*.h tenant/options/v1/*.h google/protobuf/*.h; do \
	  install -D -m 644 $$h $(LIBTENANT_ROOT)/include/tenant/pb/$$h; done
	@for l in tenant-events tenant-events-postgres; do \
	  install -m 644 build/shared/lib/lib$$l.a $(LIBTENANT_ROOT)/lib/ && \
	  install -m 755 build/shared/lib/lib$$l.so.0 $(LIBTENANT_ROOT)/lib/ && \
	  ln -sf lib$$l.so.0 $(LIBTENANT_ROOT)/lib/lib$$l.so && \
	  sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' include/tenant/$$l.pc.in \
	    >$(LIBTENANT_ROOT)/lib/pkgconfig/$$l.pc || exit 1; done

# --- unit and integration tests (Check) ----------------------------------------------------------------

TEST_ROOMS := $(filter-out main,$(if $(ROOM),$(ROOM),$(ROOMS)))
# What a room's tests link: the rooms it stands on (closure of tools/layers).
STANDS_base    := base
STANDS_config  := base config
STANDS_loop    := base loop
STANDS_domain  := base domain
STANDS_tls     := base loop tls
STANDS_protojson := base protojson
STANDS_rpc     := base loop tls protojson rpc
STANDS_store   := base loop domain store
STANDS_cache   := base loop tls cache
STANDS_tokens  := base tokens
STANDS_events  := base loop domain tokens store events
STANDS_consumer := base loop domain tokens store events consumer
STANDS_inbox   := base inbox
STANDS_inbound := base loop domain tokens store events inbound
STANDS_client  := base loop tls protojson rpc client
STANDS_ops     := base loop tls protojson rpc client ops
TEST_LINKS := $(if $(ROOM),$(or $(STANDS_$(ROOM)),$(filter-out main,$(ROOMS))),$(filter-out main,$(ROOMS)))

suite_list = $(sort $(foreach r,$(TEST_ROOMS),$(wildcard tests/$(1)/$(r)/test_*.c)))
# A stamp that changes with the list of suites.
define test_runner
$(1)_SOURCES := $(call suite_list,$(1))
$(1)_RUNNER := $$(B)/tests/run-$(1)$$(if $$(ROOM),-$$(ROOM))
$$($(1)_RUNNER).inc: FORCE
	@mkdir -p $$(@D)
	@for f in $$($(1)_SOURCES); do d=$$$${f%/*}; n=$$$${f##*/test_}; echo "SUITE($$$${d##*/}_$$$${n%.c}$(2))"; done >$$@.new
	@cmp -s $$@.new $$@ && rm $$@.new || mv $$@.new $$@
$$($(1)_RUNNER).o: tests/runner.c $$($(1)_RUNNER).inc $$(FLAG_CACHE)
	@$$(CC) $$(CFLAGS) -Wno-conversion -DSUITES='"$$($(1)_RUNNER).inc"' -c $$< -o $$@
$$($(1)_RUNNER): $$($(1)_RUNNER).o $$(patsubst %.c,$$(B)/%.o,$$($(1)_SOURCES) $$(wildcard tests/support/*.c)) \
  $$(foreach r,$$(filter $$(TEST_LINKS),$$(ROOMS)),$$(B)/lib/$$(r).a) $$(B)/lib/gen.a
	@echo "LD  $$(MODE) $$@"
	@$$(link) $$(CHECK_LIBS)
endef
$(eval $(call test_runner,unit,))
$(eval $(call test_runner,integration,_it))
$(eval $(call test_runner,chaos,_it))

.PHONY: FORCE
FORCE:

.PHONY: check-unit
check-unit: $(unit_RUNNER) ## Unit tests only (ROOM=x: one room; SUITE=x: one suite)
	@$(unit_RUNNER) $(SUITE)

.PHONY: check-source
check-source: ## Source rules: layers, sizes, banned calls, include order, generated drift
	@tools/check-source

.PHONY: check
check: ## Build, unit tests and source rules; no services needed
	@tools/run-suites check

.PHONY: test
test: ## Everything a commit must pass; ends with `N passed, N failed`
	@tools/run-suites test

.PHONY: asan
asan: ## The suites under ASan and UBSan
	@MODE=asan tools/run-suites asan

.PHONY: tsan
tsan: ## Unit, end-to-end and consumer tests under TSan
	@MODE=tsan tools/run-suites tsan

.PHONY: test-nats29
test-nats29: ## The suites of events, with the relay's faults, on Debian's NATS 2.9
	@tools/run-suites nats29

.PHONY: contracts
contracts: ## The schema gate with its tests, golden payloads, the catalogue, and the consumers' pacts against a running service
	@tools/run-suites contracts

.PHONY: contracts-buf
contracts-buf: $(GATE) ## The schema gate held against buf on 1,500 random edits of the real protos
	@tools/deps test
	@tests/schema-compat/buf --edits $(or $(EDITS),1500)

PREFIX ?= /usr/local
.PHONY: install-schema-compat
install-schema-compat: $(GATE) ## Install the schema gate for other projects (PREFIX=/usr/local, DESTDIR=)
	@install -D -m 755 $(GATE) $(DESTDIR)$(PREFIX)/bin/schema-compat
	@install -D -m 644 docs/schema-gate.md $(DESTDIR)$(PREFIX)/share/doc/schema-compat/schema-gate.md
	@echo "$(DESTDIR)$(PREFIX)/bin/schema-compat"

.PHONY: pacts
pacts: ## Write contracts/pacts/*.json from the YAML beside them
	@tools/deps test
	@tools/pacts

.PHONY: install-contract-verify
install-contract-verify: $(VERIFY) ## Install the verifier of pacts for other projects (PREFIX=/usr/local, DESTDIR=)
	@install -D -m 755 $(VERIFY) $(DESTDIR)$(PREFIX)/bin/contract-verify
	@install -D -m 644 docs/contracts.md $(DESTDIR)$(PREFIX)/share/doc/contract-verify/contracts.md
	@echo "$(DESTDIR)$(PREFIX)/bin/contract-verify"

.PHONY: integration-runner
integration-runner: $(integration_RUNNER)
	@echo $(integration_RUNNER)

.PHONY: chaos-runner
chaos-runner: $(chaos_RUNNER)
	@echo $(chaos_RUNNER)

# The bulk writer of the event chaos suite: the product's store and events rooms without the service around them.
FLOW_WRITER := $(B)/tests/flow-writer
$(FLOW_WRITER): $(B)/tests/chaos/flow/writer.o $(foreach r,$(STANDS_events),$(B)/lib/$(r).a) $(B)/lib/gen.a
	@echo "LD  $(MODE) $@"
	@$(link)

.PHONY: flow-writer
flow-writer: $(FLOW_WRITER)
	@echo $(FLOW_WRITER)

.PHONY: chaos
chaos: ## The long fault runs: 700 kills under load, a million events, relays cut off, 10,000 random walks
	@tools/run-suites chaos

# The server of gRPC's interoperability cases: the product's rooms, the test's handlers.
INTEROP_GEN := build/conformance/gen
INTEROP_PROTO := tests/conformance/proto/grpc/testing/interop.proto
INTEROP_SERVER := $(B)/tests/interop-server
$(INTEROP_GEN)/rpc/test_service.c: $(INTEROP_PROTO) $(wildcard tools/protoc-gen-rpc/*.c)
	@mkdir -p $(INTEROP_GEN)/pb $(INTEROP_GEN)/rpc
	@tools/gen --check >/dev/null
	@protoc -Itests/conformance/proto -Iproto -I/usr/include --c_out=$(INTEROP_GEN)/pb \
	  --plugin=build/host/protoc-gen-rpc --rpc_out=$(INTEROP_GEN)/rpc $<
$(INTEROP_SERVER): tests/conformance/interop/server.c $(INTEROP_GEN)/rpc/test_service.c \
  $(foreach r,base loop tls protojson rpc client,$(B)/lib/$(r).a) $(B)/lib/gen.a
	@mkdir -p $(@D)
	@$(CC) $(GEN_PB_CFLAGS) -Wno-frame-larger-than -isystem build/conformance -isystem $(INTEROP_GEN)/pb $(LDFLAGS) -o $@ \
	  $< $(INTEROP_GEN)/rpc/*.c $(INTEROP_GEN)/pb/grpc/testing/*.c \
	  -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)

INTEROP_CLIENT := $(B)/tests/interop-client
$(INTEROP_CLIENT): $(wildcard tests/conformance/client/*.c tests/conformance/client/*.h) $(INTEROP_GEN)/rpc/test_service.c \
  $(foreach r,base loop tls protojson rpc client,$(B)/lib/$(r).a) $(B)/lib/gen.a
	@mkdir -p $(@D)
	@$(CC) $(GEN_PB_CFLAGS) -Wall -Wextra -Werror -Wno-frame-larger-than -isystem build/conformance -isystem $(INTEROP_GEN)/pb \
	  $(LDFLAGS) -o $@ $(wildcard tests/conformance/client/*.c) $(INTEROP_GEN)/rpc/*.c $(INTEROP_GEN)/pb/grpc/testing/*.c \
	  -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)

# The server under test of the Connect conformance suite, by the protos of the suite (CONNECT_PROTO, a folder).
CONNECT_GEN := build/conformance/connect
CONNECT_SERVER := $(B)/tests/connect-server
CONNECT_SOURCES := $(wildcard tests/conformance/connect/*.c)
$(CONNECT_SERVER): $(CONNECT_SOURCES) tests/conformance/connect/service.h \
  $(foreach r,base loop tls protojson rpc,$(B)/lib/$(r).a) $(B)/lib/gen.a
	@mkdir -p $(@D) $(CONNECT_GEN)
	@protoc -I$(CONNECT_PROTO) -I/usr/include --plugin=protoc-gen-c=tests/protojson/protoc-gen-c-optional \
	  --c_out=$(CONNECT_GEN) $(patsubst %,connectrpc/conformance/v1/%.proto,config service server_compat)
	@$(CC) $(GEN_PB_CFLAGS) -Wall -Wextra -Werror -isystem $(CONNECT_GEN) $(LDFLAGS) -o $@ $(CONNECT_SOURCES) \
	  $(patsubst %,$(CONNECT_GEN)/connectrpc/conformance/v1/%.pb-c.c,config service server_compat) \
	  -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)

.PHONY: hostile
hostile: all ## Every class of flood from one attacker beside a well-behaved client, and what a thousand connections hold
	@tests/hostile/run
	@tests/hostile/run --thousand

.PHONY: conformance
conformance: all ## Foreign conformance suites: h2spec, gRPC interoperability, Connect (SOAK=full: 10,000 calls, 1,000 channels)
	@tests/conformance/run

# --- speed ----------------------------------------------------------------------------------------------

# The bench's own programs: the load and the baselines, which link nothing of src/.
BENCH_BIN := build/bench/bin
BENCH_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE $(shell pkg-config --cflags libpq libnats 2>/dev/null)
BENCH_PROGRAMS := $(BENCH_BIN)/load $(BENCH_BIN)/consume $(patsubst tests/bench/baselines/%.c,$(BENCH_BIN)/%,$(wildcard tests/bench/baselines/*.c))
BENCH_HEADERS := $(wildcard tests/bench/*.h tests/bench/load/*.h)

.PHONY: bench
bench: $(SERVER) $(BENCH_PROGRAMS) ## Measure against the limits of what is underneath (PART=hot|uncached|relay|publish|consumer|idle|size)
	@tools/deps stack
	@tests/bench/run $(PART)

.PHONY: bench-peers
bench-peers: $(SERVER) $(BENCH_PROGRAMS) ## Measure against other gRPC servers: those that this machine can build
	@tools/deps stack test peers
	@tests/bench/peers/build build/bench/peers
	@tests/bench/run peers

$(BENCH_BIN)/load: $(wildcard tests/bench/load/*.c) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(BENCH_CFLAGS) -o $@ $(filter %.c,$^) -lnghttp2 -lssl -lcrypto
$(BENCH_BIN)/consume: tests/bench/consume.c $(B)/lib/libtenant-events.a $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(BENCH_CFLAGS) -Iinclude -Igen/pb -o $@ $< $(B)/lib/libtenant-events.a $(LIBEVENTS_LIBS)
$(BENCH_BIN)/%: tests/bench/baselines/%.c $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(BENCH_CFLAGS) -o $@ $< -lnghttp2 -lpq -lnats -lssl -lcrypto

# --- running ------------------------------------------------------------------------------------------

.PHONY: deps
deps: ## Install what building and running needs
	@tools/deps build stack

.PHONY: stack-up
stack-up: ## Start the local stack (STACK=name)
	@tools/deps stack
	@tools/stack up $(STACK)

.PHONY: stack-down
stack-down: ## Stop it
	@tools/stack down $(STACK)

.PHONY: run
run: ## Install, build, start a stack, migrate, serve; Ctrl-C stops everything
	@tools/run $(STACK)

.PHONY: demo
demo: ## The whole path by itself: create over mTLS, row, cache entry, event
	@tools/demo

# --- the tree -------------------------------------------------------------------------------------------

.PHONY: gen
gen: ## Regenerate gen/, the catalogue and the registry from proto/ and contracts/
	@tools/gen

.PHONY: fmt
fmt: ## Format the C sources
	@clang-format -i $(shell git ls-files 'src/*.[ch]' 'tools/*.[ch]' 'tests/*.[ch]')

.PHONY: man
man: $(CLI) ## Write tenantctl's man pages to build/man
	@mkdir -p build && $(CLI) man build/man && echo "build/man: $$(ls build/man | wc -l) pages"

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZ_SECONDS (60) and its planted bug, or FUZZ_RUNS executions of each (FUZZ_TARGET=x: one)
	@tools/deps fuzz
	@tests/fuzz/run.sh $(if $(FUZZ_RUNS),--runs $(FUZZ_RUNS) $(or $(FUZZ_TARGET),all),$(or $(FUZZ_TARGET),all) $(or $(FUZZ_SECONDS),60))

.PHONY: clean
clean: ## Remove build output (a running stack stays)
	@find build -mindepth 1 -maxdepth 1 ! -name stack -exec rm -rf {} + 2>/dev/null || :

.PHONY: help
help: ## This list
	@echo "Targets:"
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | \
	  sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | \
	  while IFS="$$(printf '\t')" read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done
	@echo "Variables: MODE=release|debug|asan|tsan|clang|clang-asan  STACK=name  ROOM=room  SUITE=suite"
	@echo "Flags $(CC) does not know:$(or $(MISSING_FLAGS), none)"
