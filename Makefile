# Thin on purpose: what these do is in setup.sh, in cargo and in `ackmark cluster prepare`.
.PHONY: tools setup build bench peers test sigkill outage lint

# The build that fetches Kafka's jars is the one that is needed next.
PROFILE = --release
test: PROFILE =

tools:
	@./setup.sh

setup: tools
	cargo run $(PROFILE) --locked --bin ackmark -- cluster prepare

build: tools
	cargo build --release --locked --bin ackmark

bench: setup
	cargo run --release --locked --bin ackmark -- bench $(ARGS)

# Go and kcat are two of the contenders: what is missing is named and left out.
peers: setup
	cargo run --release --locked --bin ackmark-peers -- $(ARGS)

test: lint setup
	@./setup.sh test
	cargo test --workspace --locked

# A load killed at 100 random moments; the ten of `make test` are of the same kind. SEED repeats what was drawn.
KILLS = 100
sigkill: PROFILE =
sigkill: setup
	ACKTEST_KILLS=$(KILLS) $(if $(SEED),ACKTEST_SEED=$(SEED)) cargo test --workspace --locked --test real -- sigkill

# Brokers stopped, killed, frozen and gone for good at each step of a run: about a quarter of an hour on a quiet
# machine. The essential ones are in `make test`.
outage: PROFILE =
outage: setup
	cargo test --workspace --locked --test outage -- --ignored

lint:
	@./setup.sh lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
