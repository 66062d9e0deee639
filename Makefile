# reflectd: five programs from one tree. Objects live in build/obj/MODE; release programs in build/,
# those of the other modes in build/MODE/. A new source file needs no edit here.
#   make [MODE=release|debug|asan|tsan] [WERROR=1]      check  demo  bench  tidy  fuzz  clean
#   make install [DESTDIR=/stage] [prefix=/usr/local]   install-programs  package
MODE ?= release
ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG ?= pkg-config
# What it builds for: x86_64, aarch64.
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
BUILD ?= build
OBJ := $(BUILD)/obj/$(MODE)
BIN := $(if $(filter release,$(MODE)),$(BUILD),$(BUILD)/$(MODE))
VERSION := 0.1.0

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wundef -Wvla \
  -Wwrite-strings -Wcast-qual -Wpointer-arith -Wformat=2 -Wdouble-promotion -Wimplicit-fallthrough $(if $(WERROR),-Werror)
HARDEN_x86_64 := -fcf-protection=full
HARDEN_aarch64 := -mbranch-protection=standard
HARDEN := -fstack-protector-strong $(HARDEN_$(ARCH)) -fPIE -fno-common -fvisibility=hidden
MODE_release := -O2 -g -D_FORTIFY_SOURCE=2 $(HARDEN)
MODE_debug := -O0 -g $(HARDEN)
MODE_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan := -O1 -g -fsanitize=thread
LDMODE_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
LDMODE_debug := -pie
LDMODE_asan := -fsanitize=address,undefined
LDMODE_tsan := -fsanitize=thread

PKG_base := jansson nettle
PKG_config := $(PKG_base)
PKG_api := $(PKG_base)
PKG_storage := $(PKG_base) sqlite3
PKG_server := $(PKG_storage) libmicrohttpd libuv gnutls
PKG_worker := $(PKG_base) libutf8proc libpcre2-8 libarchive libpng libjpeg libwebp libwebpdemux openblas
PKG_sandbox := $(PKG_base) libseccomp
PKG_deliver := $(PKG_base) libcurl
PKG_cli := $(PKG_base) libcurl
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags jansson nettle sqlite3 libmicrohttpd libuv gnutls libutf8proc libpcre2-8 libarchive libpng libjpeg libwebp libwebpdemux openblas \
  libcurl)

CPPFLAGS := -I. -D_GNU_SOURCE -DREFLECTD_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
CFLAGS = -std=c17 $(WARN) $(MODE_$(MODE)) -MMD -MP -pthread $(EXTRA_CFLAGS)
LDFLAGS := $(LDMODE_$(MODE)) -pthread -Wl,--build-id
# The loops of the engine: no errno, no traps, but NaN and infinity keep their meaning.
KERNEL := -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast
# Kernels are compiled once for each instruction set and chosen when the worker starts (worker/backend/cpu/isa.c).
ISAS_x86_64 := avx2 avx512 amx
ISAS := generic $(ISAS_$(ARCH))
ISA_generic := -Wno-psabi -DISA=generic -DISA_WIDTH=4
ISA_avx2 := -mavx2 -mfma -mf16c -DISA=avx2 -DISA_WIDTH=8
ISA_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512 -DISA=avx512 -DISA_WIDTH=16
FLAGS_avx512 := $(filter-out -D%,$(ISA_avx512))
ISA_bf16 := $(FLAGS_avx512) -mavx512bf16
ISA_amx := $(ISA_bf16) -mamx-tile -mamx-bf16 -DISA=amx -DISA_WIDTH=16 -DATTENTION_TILES
# AMX has only an attention of its own.
isa_src = $(wildcard worker/backend/cpu/isa/$(if $(filter amx,$(1)),attention)*.c)
BF16 := worker/backend/cpu/bf16

LAYERS := base config api storage server sandbox deliver worker cli
APART := worker/backend/cpu/isa $(if $(filter amx,$(ISAS)),,$(BF16))
src_of = $(filter-out %/main.c $(APART:%=%/%),$(shell find $(1) -name '*.c'))
OBJ_base := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,base))
OBJ_config := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,config))
OBJ_api := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,api))
OBJ_storage := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,storage))
OBJ_server := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,server))
OBJ_sandbox := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,sandbox))
OBJ_deliver := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,deliver))
OBJ_cli := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,cli))
OBJ_worker := $(patsubst %.c,$(OBJ)/%.o,$(call src_of,worker)) \
  $(foreach isa,$(ISAS),$(patsubst %.c,$(OBJ)/%.$(isa).o,$(call isa_src,$(isa))))
LIBS := $(foreach layer,$(LAYERS),$(OBJ)/lib$(layer).a)

# The archives each layer's programs link, upper layers first.
LINK_base := base
LINK_config := config base
LINK_api := api base
LINK_storage := storage api base
LINK_server := server storage config api base
LINK_sandbox := sandbox base
LINK_deliver := deliver base
LINK_worker := worker api base
LINK_cli := cli api base
ars = $(foreach layer,$(LINK_$(1)),$(OBJ)/lib$(layer).a)
libs = $(shell $(PKG_CONFIG) --libs $(PKG_$(1))) -lm

PROGRAMS := $(BIN)/reflectd $(BIN)/reflect-sandbox $(BIN)/reflect-deliver $(BIN)/reflect-worker $(BIN)/reflect
FAULT := $(addprefix $(BIN)/tests/fault/,torture worker shim.so simulate load)
SPLIT := $(BIN)/tests/system/split_gguf
TOOLS := $(BIN)/tests/golden $(BIN)/tests/bench $(BIN)/tests/interop/tokenize $(SPLIT) $(FAULT)
# tests/LAYER/.../test_*.c: one cmocka program each, linked with its layer.
TESTS := $(patsubst tests/%.c,$(BIN)/tests/%,$(foreach layer,$(LAYERS),$(shell find tests/$(layer) -name 'test_*.c' 2>/dev/null)))

# What stands in for CUDA where there is no GPU.
STANDIN := $(BIN)/tests/worker/backend/cuda/standin
STANDINS := $(addprefix $(STANDIN)/,libcuda.so.1 libnvrtc.so.13 libcublasLt.so.13)

.PHONY: all programs tools tests check demo bench torture tidy fuzz clean
.SECONDARY:
all: programs tools
programs: $(PROGRAMS)
tools: $(TOOLS) $(STANDINS)
tests: $(TESTS) $(SPLIT) $(BIN)/tests/golden

$(BIN)/reflectd: $(OBJ)/server/main.o $(call ars,server)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,server)
$(BIN)/reflect-sandbox: $(OBJ)/sandbox/main.o $(call ars,sandbox)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,sandbox)
$(BIN)/reflect-deliver: $(OBJ)/deliver/main.o $(call ars,deliver)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,deliver)
$(BIN)/reflect-worker: $(OBJ)/worker/main.o $(call ars,worker)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,worker)
$(BIN)/reflect: $(OBJ)/cli/main.o $(call ars,cli)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,cli)
$(BIN)/tests/golden: $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/golden/*.c)) $(call ars,worker)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,worker)
$(BIN)/tests/interop/tokenize: $(OBJ)/tests/interop/tokenize.o $(call ars,worker)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,worker)
$(SPLIT): $(OBJ)/tests/system/split_gguf.o $(call ars,worker)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,worker)
$(BIN)/tests/bench: $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/bench/*.c)) $(call ars,worker)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,worker)

$(BIN)/tests/fault/torture: $(patsubst %,$(OBJ)/tests/fault/%.o,torture scenario crowd daemon image) $(call ars,base)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,base)
$(BIN)/tests/fault/worker: $(OBJ)/tests/fault/worker.o $(call ars,api)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,api)
$(BIN)/tests/fault/simulate: $(patsubst %,$(OBJ)/tests/fault/%.o,simulate simulate_queue) $(call ars,server)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,server)
$(BIN)/tests/fault/load: $(patsubst %,$(OBJ)/tests/fault/%.o,load load_stream daemon) $(call ars,storage)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(call libs,storage)
# Loaded into a program of any mode, so of none itself.
$(BIN)/tests/fault/shim.so: tests/fault/shim.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(filter-out -Wpedantic,$(WARN)) -O2 -fPIC -shared -o $@ $< -ldl

define test_rule
$(BIN)/tests/$(1)/%: $(OBJ)/tests/$(1)/%.o $(call ars,$(1))
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$^ $$(call libs,$(1)) $$(shell $(PKG_CONFIG) --libs cmocka)
endef
$(foreach layer,$(LAYERS),$(eval $(call test_rule,$(layer))))

# Libraries that stand in for CUDA's where there is no GPU.
STANDIN_CC = $(CC) $(CPPFLAGS) $(filter-out -fvisibility=hidden -fPIE,$(CFLAGS)) -fPIC -O2 -MF $(OBJ)/$(notdir $@).d -MT $@ \
  -Wno-unused-function -shared -Wl,-soname,$(notdir $@)
$(STANDIN)/libcuda.so.1: tests/worker/backend/cuda/standin/libcuda.c
	@mkdir -p $(@D)
	$(STANDIN_CC) -ftrivial-auto-var-init=pattern -o $@ $< -lm
$(STANDIN)/libnvrtc.so.13: tests/worker/backend/cuda/standin/libnvrtc.c
	@mkdir -p $(@D)
	$(STANDIN_CC) -o $@ $<
$(STANDIN)/libcublasLt.so.13: tests/worker/backend/cuda/standin/libcublasLt.c $(STANDIN)/libcuda.so.1
	@mkdir -p $(@D)
	$(STANDIN_CC) -Wl,-rpath,'$$ORIGIN' -o $@ $< $(STANDIN)/libcuda.so.1
tests: $(STANDINS)
$(BIN)/tests/worker/op/test_conformance $(filter $(BIN)/tests/worker/backend/cuda/%,$(TESTS)): | $(STANDINS)

define archive_rule
$(OBJ)/lib$(1).a: $(OBJ_$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(AR) rcs $$@ $(OBJ_$(1))
endef
$(foreach layer,$(LAYERS),$(eval $(call archive_rule,$(layer))))

# What a kernel reads before it was written is no zero.
$(OBJ)/tests/worker/backend/device/%.o: EXTRA_CFLAGS += -O2 -ftrivial-auto-var-init=pattern
# An optimised engine even under the sanitizers: -O1 would make its tests slow.
$(OBJ)/worker/%.o: EXTRA_CFLAGS += $(if $(filter release asan,$(MODE)),$(KERNEL))
$(OBJ)/worker/file/ggml.o: EXTRA_CFLAGS += -ffp-contract=off
define isa_rule
$(OBJ)/worker/backend/cpu/isa/%.$(1).o: worker/backend/cpu/isa/%.c
	@mkdir -p $$(@D)
	$(CC) $(CPPFLAGS) $$(CFLAGS) $(KERNEL) $(ISA_$(1)) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rule,$(isa))))
$(OBJ)/$(BF16)/%.o: EXTRA_CFLAGS += $(ISA_bf16)
$(OBJ)/$(BF16)/amx.o: EXTRA_CFLAGS += -mamx-tile -mamx-bf16
$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
# Text embedded into a program: foo.sql becomes the array `foo_sql` in foo.sql.inc.
$(OBJ)/%.inc: %
	@mkdir -p $(@D)
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $< > $@
# The dashboard's files are embedded as they are (server/http/web.c), and packed.
WEB := $(filter-out %.def,$(wildcard server/web/*))
$(OBJ)/server/web/%.gz: server/web/%
	@mkdir -p $(@D)
	gzip -9nc $< > $@
$(OBJ)/server/http/web.o: $(WEB) $(patsubst %,$(OBJ)/%.gz,$(WEB))
$(OBJ)/server/http/web.o: EXTRA_CFLAGS += -DWEB_PACKED='"$(OBJ)/server/web"'
# OpenCL has no folders to include from: the files of the kernels take the place of the lines that include them.
KERNEL_SOURCES := $(addprefix worker/backend/device/,dialect.h args.h) $(wildcard worker/backend/device/kernels/*.cl)
$(OBJ)/worker/backend/device/program.cl.inc: worker/backend/device/program.cl $(KERNEL_SOURCES)
	@mkdir -p $(@D)
	awk -F '"' '/^#include "/ {print "#line 1 \"" $$2 "\""; while ((getline line < $$2) > 0) print line; next} {print}' $< | \
	  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' > $@
# CUDA's kernels, compiled where there is nvcc: for GPUs of three generations, and PTX, which drivers compile for all
# others. The sanitizers' builds compile them at run time, as a build without nvcc does.
NVCC ?= $(if $(filter release,$(MODE)),$(firstword $(shell command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)))
FATBIN := $(OBJ)/worker/backend/cuda/kernels.fatbin
$(FATBIN): worker/backend/device/program.cl $(KERNEL_SOURCES)
	@mkdir -p $(@D)
	$(NVCC) -fatbin -x cu -I. -Werror all-warnings $(foreach arch,80 90 100,-gencode arch=compute_$(arch),code=sm_$(arch)) \
	  -gencode arch=compute_75,code=compute_75 -o $@ $<
ifneq ($(NVCC),)
$(OBJ)/worker/backend/cuda/cuda_kernels.o: $(FATBIN)
$(OBJ)/worker/backend/cuda/cuda_kernels.o: EXTRA_CFLAGS += -DCUDA_FATBIN='"$(FATBIN)"' \
  -DCUDA_FATBIN_VERSION=$(shell $(NVCC) --version | sed -n 's/.*release \([0-9]*\).*/\1/p')
endif
CPPFLAGS += -I$(OBJ)
$(OBJ)/worker/backend/device/program.o: $(OBJ)/worker/backend/device/program.cl.inc
$(OBJ)/storage/db.o $(OBJ)/tests/storage/test_migrate.o: $(patsubst %,$(OBJ)/%.inc,$(wildcard storage/*.sql))
$(OBJ)/worker/chat/chat_template_open.o: $(patsubst %,$(OBJ)/%.inc,$(wildcard worker/chat/templates/*.jinja))

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# The five programs find each other beside themselves. The image and the package are made of what lands here.
prefix ?= /usr/local
bindir := $(DESTDIR)$(prefix)/bin
sharedir := $(DESTDIR)$(prefix)/share
unitdir := $(DESTDIR)$(if $(filter /usr,$(prefix)),/lib,$(prefix)/lib)/systemd/system
.PHONY: install install-programs package
install-programs: $(PROGRAMS)
	install -d $(bindir)
	install $(INSTALL_STRIP) $(PROGRAMS) $(bindir)
# With pages of the manual, what systemd needs to run the daemon, and what a shell needs to complete `reflect`. RUN: what
# starts a program that was built for another processor.
RUN ?=
install: install-programs
	install -d $(unitdir) $(DESTDIR)$(prefix)/lib/sysusers.d $(DESTDIR)/etc/reflectd $(sharedir)/bash-completion/completions \
	  $(sharedir)/zsh/vendor-completions $(sharedir)/fish/vendor_completions.d
	sed 's|/usr/bin/|$(prefix)/bin/|' config/reflectd.service > $(unitdir)/reflectd.service
	install -m 644 config/sysusers.conf $(DESTDIR)$(prefix)/lib/sysusers.d/reflectd.conf
	test -e $(DESTDIR)/etc/reflectd/reflectd.json || install -m 644 config/service.json $(DESTDIR)/etc/reflectd/reflectd.json
	install -d $(addprefix $(sharedir)/man/,man1 man5 man8)
	install -m 644 docs/man/*.8 $(sharedir)/man/man8
	$(RUN) $(BIN)/reflect --man > $(sharedir)/man/man1/reflect.1
	$(RUN) $(BIN)/reflectd --man > $(sharedir)/man/man8/reflectd.8
	$(RUN) $(BIN)/reflectd --man-config > $(sharedir)/man/man5/reflectd.conf.5
	$(RUN) $(BIN)/reflect completion bash > $(sharedir)/bash-completion/completions/reflect
	$(RUN) $(BIN)/reflect completion zsh > $(sharedir)/zsh/vendor-completions/_reflect
	$(RUN) $(BIN)/reflect completion fish > $(sharedir)/fish/vendor_completions.d/reflect.fish
# The Debian package, in BUILD/package, from the tracked files alone.
package:
	rm -rf $(BUILD)/package
	mkdir -p $(BUILD)/package/reflectd
	git ls-files -z | xargs -0 cp -P --parents -t $(BUILD)/package/reflectd
	cd $(BUILD)/package/reflectd && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc -b
	@ls $(BUILD)/package/*.deb

check: ; tests/check
demo: programs ; tests/demo
# Each of the variables may be missing, with the rows that need it.
bench: tools ; tests/bench/compare $(if $(MINILM),--minilm $(MINILM)) $(if $(SMOLLM2),--smollm2 $(SMOLLM2)) \
	$(if $(PEER),--peer $(PEER)) $(if $(SST2),--sst2 $(SST2)) $(if $(GSM8K),--gsm8k $(GSM8K))
torture: programs tools ; tests/fault/run
tidy: ; tests/tidy/run
fuzz: ; tests/fuzz/run
compile_commands.json: ; bear -- $(MAKE) -B
clean: ; rm -rf $(BUILD)
