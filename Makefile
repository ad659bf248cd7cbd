# make demo   shows a scene on a headset, or on a simulated one where there is none
# make test   runs every test; says loudly which could not run, and why
# Both install what they need first, on Debian and Ubuntu; elsewhere they name it.

PACKAGES := gcc libc6-dev pkg-config libgbm-dev libvulkan1 mesa-vulkan-drivers
# For the features `seat` and `rtkit`.
FEATURE_PACKAGES := libseat-dev libdbus-1-dev
TEST_PACKAGES := $(PACKAGES) $(FEATURE_PACKAGES) vulkan-validationlayers spirv-tools edid-decode util-linux xz-utils mmdebstrap \
	qemu-system-x86 cpio busybox-static file seatd python3 strace \
	flex bison bc patch make debian-archive-keyring libdrm-dev codespell git systemd \
	xvfb libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0
export LEASEHOLD_RIG ?= $(abspath $(or $(wildcard ../shared/rig/uml/run),tests/rig/run))
export LEASEHOLD_RIG_QEMU ?= $(abspath ../shared/rig/qemu/run)
export LEASEHOLD_HEADSETS ?= $(abspath ../shared/headsets)
PICTURE := target/demo.png
PREFIX ?= /usr/local
ADVISORIES := https://github.com/RustSec/advisory-db

.PHONY: demo test check setup setup-test rig install-capi deny manual deb cargo

demo: setup cargo
	cargo build --release
	target/release/leasehold demo --seconds 5 --capture $(PICTURE)
	@echo "what each eye got: $(PICTURE)"

test: setup-test rig cargo
	cargo build --release --features seat,rtkit --examples
	cargo test --release --features seat,rtkit --no-fail-fast
	cargo test --release -p leasehold-capi
	@for spirv in target/release/build/leasehold-*/out/*.spv; do spirv-val --target-env vulkan1.1 $$spirv || exit 1; done
	@[ -x "$(LEASEHOLD_RIG)" ] || echo "DID NOT RUN: the tests that need a kernel with a headset: no rig at $(LEASEHOLD_RIG) (set LEASEHOLD_RIG)"
	@[ -x "$(LEASEHOLD_RIG_QEMU)" ] || echo "DID NOT RUN: the tests that need virtual terminals: no rig at $(LEASEHOLD_RIG_QEMU) (set LEASEHOLD_RIG_QEMU)"
	@[ -d "$(LEASEHOLD_HEADSETS)" ] || echo "DID NOT RUN: the tests with real headset data: none at $(LEASEHOLD_HEADSETS) (set LEASEHOLD_HEADSETS)"

check: setup-test cargo
	cargo fmt --all --check
	cargo clippy --release -- -D warnings
	cargo clippy --release --all-targets --features seat,rtkit -- -D warnings
	cargo clippy --release --lib --no-default-features -- -D warnings
	cargo clippy --release -p leasehold-capi --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --release --no-deps --features seat,rtkit
	codespell $$(git ls-files ':!Cargo.lock' ':!fuzz/Cargo.lock' ':!*.png')

# Licences and sources of all that is built in, and what is known against it. Unoptimised, cargo-deny is there in two minutes.
# An advisory is told and fails nothing: a new one is not the change's fault.
deny: cargo
	@command -v cargo-deny > /dev/null || cargo install --locked --debug --version 0.20.2 cargo-deny
	cargo deny check licenses bans sources
	@if git ls-remote --quiet $(ADVISORIES) HEAD > /dev/null 2>&1; then cargo deny check advisories || true; \
	else echo "DID NOT RUN: cargo deny check advisories: $(ADVISORIES) cannot be reached"; fi

# The kernel that most tests run in: ten minutes, once.
rig: setup-test
	@[ "$(LEASEHOLD_RIG)" != "$(abspath tests/rig/run)" ] || tests/rig/build > /dev/null

# The C interface, with what pkg-config tells of it.
install-capi: cargo
	cargo build --release -p leasehold-capi
	install -D -m 644 capi/include/leasehold.h $(DESTDIR)$(PREFIX)/include/leasehold.h
	install -D -m 755 $${CARGO_TARGET_DIR:-target}/release/libleasehold_capi.so $(DESTDIR)$(PREFIX)/lib/libleasehold.so.0
	ln -sf libleasehold.so.0 $(DESTDIR)$(PREFIX)/lib/libleasehold.so
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|' -e "s|@VERSION@|$$(sed -n 's/^version = "\(.*\)"/\1/p' capi/Cargo.toml)|" \
		capi/leasehold.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/leasehold.pc

# Man pages and completions, from the program's own definition of its command line.
manual: cargo
	cargo build --release --example manual
	$${CARGO_TARGET_DIR:-target}/release/examples/manual target/manual

# A package for Debian, in target/debian.
deb: setup cargo manual
	@tests/install $(FEATURE_PACKAGES)
	@command -v cargo-deb > /dev/null || cargo install --locked --debug cargo-deb
	cargo deb --strip

setup:
	@tests/install $(PACKAGES)

setup-test:
	@tests/install $(TEST_PACKAGES)

cargo:
	@command -v cargo > /dev/null || { echo "Rust 1.88 or newer is needed: install it from your distribution or with rustup"; exit 1; }
