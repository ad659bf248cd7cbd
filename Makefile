# make demo   shows a scene on a headset, or on a simulated one where there is none
# make test   runs every test; says loudly which could not run, and why
# Both install what they need first, on Debian and Ubuntu; elsewhere they name it.

PACKAGES := gcc libc6-dev pkg-config libgbm-dev libvulkan1 mesa-vulkan-drivers
TEST_PACKAGES := $(PACKAGES) vulkan-validationlayers spirv-tools edid-decode util-linux xz-utils mmdebstrap \
	qemu-system-x86 cpio busybox-static file libseat-dev seatd python3 strace \
	xvfb libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0
export LEASEHOLD_RIG ?= $(abspath ../shared/rig/uml/run)
export LEASEHOLD_RIG_QEMU ?= $(abspath ../shared/rig/qemu/run)
export LEASEHOLD_HEADSETS ?= $(abspath ../shared/headsets)
PICTURE := target/demo.png

.PHONY: demo test check setup setup-test cargo

demo: setup cargo
	cargo build --release
	target/release/leasehold demo --seconds 5 --capture $(PICTURE)
	@echo "what each eye got: $(PICTURE)"

test: setup-test cargo
	cargo build --release --features seat --examples
	cargo test --release --features seat --no-fail-fast
	@for spirv in target/release/build/leasehold-*/out/*.spv; do spirv-val --target-env vulkan1.1 $$spirv || exit 1; done
	@[ -x "$(LEASEHOLD_RIG)" ] || echo "DID NOT RUN: the tests that need a kernel with a headset: no rig at $(LEASEHOLD_RIG) (set LEASEHOLD_RIG)"
	@[ -x "$(LEASEHOLD_RIG_QEMU)" ] || echo "DID NOT RUN: the tests that need virtual terminals: no rig at $(LEASEHOLD_RIG_QEMU) (set LEASEHOLD_RIG_QEMU)"
	@[ -d "$(LEASEHOLD_HEADSETS)" ] || echo "DID NOT RUN: the tests with real headset data: none at $(LEASEHOLD_HEADSETS) (set LEASEHOLD_HEADSETS)"

check: setup-test cargo
	cargo fmt --all --check
	cargo clippy --release --all-targets -- -D warnings
	cargo clippy --release --all-targets --features seat -- -D warnings

setup:
	@tests/install $(PACKAGES)

setup-test:
	@tests/install $(TEST_PACKAGES)

cargo:
	@command -v cargo > /dev/null || { echo "Rust 1.88 or newer is needed: install it from your distribution or with rustup"; exit 1; }
